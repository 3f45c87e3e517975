"""The OpenAPI document and its page."""

from functools import lru_cache
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Swagger

from pubsub.api.access import API_KEY_HEADER

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


SECURITY_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "apiKey": {"type": "apiKey", "in": "header", "name": API_KEY_HEADER},
}
"""The credentials that a request may have (https://spec.openapis.org/oas/v3.1.0)."""


@lru_cache(maxsize=8)
def openapi(api: NinjaAPI, prefix: str) -> bytes:
    """Return the OpenAPI document as JSON; all paths begin with ``prefix``."""
    document = dict(api.get_openapi_schema(path_prefix=prefix))
    document["components"] = {**document["components"], "securitySchemes": SECURITY_SCHEMES}
    # Whether any of them is needed depends on the settings.
    document["security"] = [{}, *({scheme: []} for scheme in SECURITY_SCHEMES)]
    return msgspec.json.encode(document)


class Docs(Swagger):
    """Swagger UI with a Content-Security-Policy."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        """Return the page; unless the app ``ninja`` is installed, its files come from a CDN."""
        response = super().render_page(request, api, **kwargs)
        if "ninja" in settings.INSTALLED_APPS:
            response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response
