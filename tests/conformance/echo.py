"""What is tested, as ASGI applications for Daphne: the same echo on two transports."""

from typing import Any

from tests.conformance.ours import Echo


async def ours(scope: Any, receive: Any, send: Any) -> None:
    """Echo on the project's transport."""
    if await _accept(scope, receive, send):
        await Echo(send).run(receive)


async def reference(scope: Any, receive: Any, send: Any) -> None:
    """Echo as an ordinary application does, on what Daphne itself has."""
    if await _accept(scope, receive, send):
        while (message := await receive())["type"] == "websocket.receive":
            payload = {
                key: message[key] for key in ("text", "bytes") if message.get(key) is not None
            }
            await send({"type": "websocket.send", **payload})


async def _accept(scope: Any, receive: Any, send: Any) -> bool:
    """Accept a WebSocket; answer anything else with 404."""
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        return True
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    return False
