"""The HTTP routes, including the pages if the app ``pubsub.console`` is installed."""

from django.apps import apps
from django.urls import path

from pubsub.api import api, openapi_document
from pubsub.api.metrics import metrics
from pubsub.console import views
from pubsub.events import not_served

_pages = [
    path("", views.room),
    path("docs/ws", views.websocket_reference),
]

urlpatterns = [
    *(_pages if apps.is_installed("pubsub.console") else []),
    path("asyncapi.json", views.asyncapi_document),
    path("openapi.json", openapi_document),
    path("metrics", metrics),
    path("ws", views.websocket),
    path("events", not_served),
    path("", api.urls),
]
