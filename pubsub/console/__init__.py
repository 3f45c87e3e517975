"""The chat room in the browser: a page, its static files, and a reference of the protocol.

The page uses only the WebSocket and the REST endpoints, like any other client.
"""
