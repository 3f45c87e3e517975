"""The WebSocket protocol (RFC 6455) after its opening handshake, without I/O.

Bytes come in and events come out (`engine`); what goes out is bytes as well (`frames`). Nothing
here knows a socket, a server or a message of the chat room.
"""
