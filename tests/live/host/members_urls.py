"""Users without a database, a view that logs them in, and the chat room."""

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from django.urls import include, path


class Backend(BaseBackend):
    """Knows a user for every id."""

    def get_user(self, user_id: int) -> User:
        """Return the user."""
        return User(pk=user_id, username=str(user_id))


def login(request: HttpRequest, user_id: int) -> JsonResponse:
    """Begin a session of a user."""
    request.session[SESSION_KEY] = str(user_id)
    request.session[BACKEND_SESSION_KEY] = f"{__name__}.Backend"
    request.session[HASH_SESSION_KEY] = Backend().get_user(user_id).get_session_auth_hash()
    return JsonResponse({})


async def other(request: HttpRequest) -> JsonResponse:
    """Answer, as a view of the project's own."""
    return JsonResponse({})


urlpatterns = [
    path("login/<int:user_id>", login),
    path("other", other),
    path("chat/", include("pubsub.urls")),
]
