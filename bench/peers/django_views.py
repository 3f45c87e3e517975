"""The chat room as a project serves it whose HTTP requests all go to Django's views."""

from channels.routing import ProtocolTypeRouter

from chatroom_project.asgi import chat_room, django_application

application = ProtocolTypeRouter({"http": django_application, "websocket": chat_room})
