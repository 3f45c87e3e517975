"""The OpenAPI document and its page."""

from functools import lru_cache
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Swagger

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""Nothing inline and nothing from another host, except icons in Swagger UI's style sheet."""


@lru_cache(maxsize=8)
def openapi(api: NinjaAPI, prefix: str) -> bytes:
    """Return the OpenAPI document as JSON; all paths begin with ``prefix``."""
    return msgspec.json.encode(dict(api.get_openapi_schema(path_prefix=prefix)))


class Docs(Swagger):
    """Swagger UI with a Content-Security-Policy."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        """Return the page; unless the app ``ninja`` is installed, its files come from a CDN."""
        response = super().render_page(request, api, **kwargs)
        if "ninja" in settings.INSTALLED_APPS:
            response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response
