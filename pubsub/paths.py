"""Which paths of a site belong to the chat room."""

from django.conf import settings
from django.urls import Resolver404, resolve

import pubsub

API_NAMESPACE = f"api-{pubsub.__version__}"
"""The namespace of the REST endpoints in Django's URL resolver."""


def is_ours(path: str) -> bool:
    """Return whether a path leads to a view of `pubsub.urls`, wherever a project includes it.

    Args:
        path: The path with the prefix of the site (``FORCE_SCRIPT_NAME``), if it has one.
    """
    try:
        match = resolve(path.removeprefix(settings.FORCE_SCRIPT_NAME or ""))
    except Resolver404:
        return False
    return API_NAMESPACE in match.namespaces or match.func.__module__.startswith("pubsub.")
