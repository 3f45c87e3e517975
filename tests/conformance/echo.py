"""What is tested, as ASGI applications for Daphne: the same echo on two transports."""

from typing import Any

from tests.conformance.ours import serve


async def ours(scope: Any, receive: Any, send: Any) -> None:
    """Echo on the project's transport."""
    if await _is_websocket(scope, receive, send):
        await serve(scope, receive, send)


async def reference(scope: Any, receive: Any, send: Any) -> None:
    """Echo as an ordinary application does, on what Daphne itself has."""
    if await _is_websocket(scope, receive, send):
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            text, data = message.get("text"), message.get("bytes")
            payload = {"bytes": data} if text is None else {"text": text}
            await send({"type": "websocket.send", **payload})


async def _is_websocket(scope: Any, receive: Any, send: Any) -> bool:
    """Tell whether a client wants a WebSocket; answer anything else with 404."""
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        return True
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    return False
