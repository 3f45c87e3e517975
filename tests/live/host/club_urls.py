"""Views that log users in, and change what they may do."""

import functools
from typing import Any

from django.contrib import auth
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models.signals import m2m_changed
from django.dispatch import receiver
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

import pubsub


@receiver(m2m_changed, sender=User.groups.through)
def membership_changed(instance: User, **kwargs: Any) -> None:
    """Have the authorizer asked again, as soon as it can see the change."""
    transaction.on_commit(functools.partial(pubsub.permissions_changed, instance))


def login(request: HttpRequest, name: str) -> JsonResponse:
    """Begin a session."""
    user = User.objects.get(username=name)
    auth.login(request, user)
    return JsonResponse({"user": str(user.pk)})


@transaction.atomic
def leave(request: HttpRequest, name: str) -> JsonResponse:
    """Leave the group, with a signal that calls the chat room from this thread."""
    User.objects.get(username=name).groups.clear()
    return JsonResponse({})


async def leave_from_event_loop(request: HttpRequest, name: str) -> JsonResponse:
    """Leave the group without a signal, and call the chat room from the event loop."""
    user = await User.objects.aget(username=name)
    membership = User.groups.through.objects
    await membership.filter(user=user).adelete()
    pubsub.permissions_changed(user.pk)
    return JsonResponse({})


def silence(request: HttpRequest, name: str) -> JsonResponse:
    """Take the permission to publish away."""
    user = User.objects.get(username=name)
    user.user_permissions.clear()
    pubsub.permissions_changed(request.user)  # a lazy object
    return JsonResponse({})


def deactivate(request: HttpRequest, name: str) -> JsonResponse:
    """Deactivate a user."""
    User.objects.filter(username=name).update(is_active=False)
    pubsub.permissions_changed(User.objects.get(username=name))
    return JsonResponse({})


def delete(request: HttpRequest, name: str) -> JsonResponse:
    """Delete a user."""
    user = User.objects.get(username=name)
    key = user.pk
    user.delete()
    pubsub.permissions_changed(str(key))
    return JsonResponse({})


def join(request: HttpRequest, name: str) -> JsonResponse:
    """Join the group again."""
    User.objects.get(username=name).groups.add(Group.objects.get(name="orders"))
    return JsonResponse({})


urlpatterns = [
    path("chat/", include("pubsub.urls")),
    path("login/<name>", login),
    path("join/<name>", join),
    path("leave/<name>", leave),
    path("leave-from-event-loop/<name>", leave_from_event_loop),
    path("silence/<name>", silence),
    path("deactivate/<name>", deactivate),
    path("delete/<name>", delete),
]
