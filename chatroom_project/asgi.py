"""The ASGI application, for Daphne and every other ASGI server."""

import gc
import os
import sys
from pathlib import Path

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatroom_project.settings")

if settings.STATIC_ROOT and not Path(settings.STATIC_ROOT, "staticfiles.json").exists():
    sys.exit(
        "chatroom: DJANGO_STATIC_ROOT holds no files; with the same value run "
        "`python manage.py collectstatic --noinput` first"
    )

# Django has to be set up before anything of the application is imported.
http_application = get_asgi_application()

from pubsub.routing import lifespan, websocket_application  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": websocket_application(whole_site=True),
        "lifespan": lifespan,
    }
)

# What has been imported stays until the end: a full collection need not go through it, which
# would stop all clients for some 30 ms. And a new connection is a few hundred objects, so
# collections are made rarer; of cycles only connections that have ended are left to them.
gc.collect()
gc.freeze()
gc.set_threshold(3_000, 10, 3)
