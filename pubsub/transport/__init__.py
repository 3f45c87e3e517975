"""How frames reach one socket: on Daphne, with flow control, and on any other ASGI server."""
