"""The host project's application inside Channels' `AuthMiddlewareStack`."""

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402

from pubsub.routing import http_application, websocket_application  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http_application(django_application, middleware=AuthMiddlewareStack),
        "websocket": AuthMiddlewareStack(websocket_application()),
    }
)
