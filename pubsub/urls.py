"""The HTTP routes."""

from django.urls import path

from pubsub.api import api

urlpatterns = [path("", api.urls)]
