"""The chat room in the browser: a page, its static files, and the protocol as a document.

The page talks to the server as every other client does, by WebSocket and over REST.
"""
