"""The ASGI application, for Daphne and every other ASGI server."""

import gc
import os
import sys
from pathlib import Path

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatroom_project.settings")

if settings.STATIC_ROOT and not Path(settings.STATIC_ROOT, "staticfiles.json").exists():
    sys.exit(
        "chatroom: DJANGO_STATIC_ROOT holds no files; with the same value run "
        "`python manage.py collectstatic --noinput` first"
    )

# Django has to be set up before the rest of the application is imported.
django_application = get_asgi_application()

from pubsub import logs  # noqa: E402
from pubsub.routing import http_application, lifespan, websocket_application  # noqa: E402

logs.capture()

try:
    chat_room = websocket_application(whole_site=True)
except ImproperlyConfigured as error:  # an authorizer, which the settings cannot import yet
    sys.exit(f"chatroom: {error}")

application = ProtocolTypeRouter(
    {
        "http": http_application(django_application),
        "websocket": chat_room,
        "lifespan": lifespan,
    }
)

# Imported objects live as long as the process. Freezing them spares full collections the scan of
# all of them, which would stop all clients for about 30 ms. A new connection allocates hundreds of
# objects, so the thresholds are raised: collections are rarer, and connections do not need them,
# because each is freed by its last reference. Full collections are rarest: with a million
# subscriptions one takes 300 ms, and it would find next to nothing.
gc.collect()
gc.freeze()
gc.set_threshold(3_000, 10, 1_000)
