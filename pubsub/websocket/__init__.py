"""The WebSocket protocol (RFC 6455) after its opening handshake, without I/O.

Incoming bytes become events (`engine`), and outgoing frames become bytes (`frames`). Nothing here
knows a socket, a server or a message of the chat room.
"""
