"""Which paths of a site belong to the chat room."""

from collections.abc import Iterator
from functools import lru_cache

from django.conf import settings
from django.urls import Resolver404, URLResolver, get_resolver, resolve
from django.urls.resolvers import RoutePattern

import pubsub

API_NAMESPACE = f"api-{pubsub.__version__}"
"""The namespace of the REST endpoints in Django's URL resolver."""


def is_ours(path: str) -> bool:
    """Return whether a path leads to a view of `pubsub.urls`, wherever a project includes it.

    Args:
        path: The path without the prefix of the site.
    """
    try:
        match = resolve(path)
    except Resolver404:
        return False
    return API_NAMESPACE in match.namespaces or match.func.__module__.startswith("pubsub.")


def below_mount(path: str) -> str | None:
    """Return what follows the place where the project includes `pubsub.urls`, without a slash.

    This is much quicker than to resolve the path. It says nothing about whether there is a view,
    and returns ``None`` outside, or if that place is not a fixed text.

    Args:
        path: The path without the prefix of the site.
    """
    for mount in _mounts(settings.ROOT_URLCONF):
        if path.startswith(mount):
            return path[len(mount) :]
    return None


@lru_cache(maxsize=8)
def _mounts(urlconf: str) -> tuple[str, ...]:
    return tuple(_find_mounts(get_resolver(urlconf), "/"))


def _find_mounts(resolver: URLResolver, path: str) -> Iterator[str]:
    for entry in resolver.url_patterns:
        if not isinstance(entry, URLResolver) or not isinstance(entry.pattern, RoutePattern):
            continue
        route = str(entry.pattern)
        if "<" in route:
            continue
        if entry.namespace == API_NAMESPACE:
            yield path + route
        else:
            yield from _find_mounts(entry, path + route)
