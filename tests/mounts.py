"""A URL configuration that includes the chat room in unusual places."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path


def view(request: HttpRequest) -> HttpResponse:
    """Answer, as a view of the project's own."""
    return HttpResponse()


urlpatterns = [
    path("nested/", include([path("deep/", include(("pubsub.urls", "chat"), namespace="deep"))])),
    path("of/<int:tenant>/", include(("pubsub.urls", "chat"), namespace="tenant")),
    re_path("^regular/", include(("pubsub.urls", "chat"), namespace="regular")),
    path("view/messages", view),
]
