"""The ASGI application, for Daphne and every other ASGI server."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatroom_project.settings")

# Django has to be set up before anything of the application is imported.
http_application = get_asgi_application()

from pubsub.routing import lifespan, websocket_application  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": websocket_application(),
        "lifespan": lifespan,
    }
)
