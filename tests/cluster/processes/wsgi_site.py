"""A site under WSGI, whose views publish and create topics, and which serves no clients.

    CHATROOM_RELAY=nats://… python -m tests.cluster.processes.wsgi_site

Two processes are forked from one that has used the room before, and each has a thread for every
request. The ports of both are printed.
"""

import os
import socketserver
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path

import pubsub

PROCESSES = 2


def publish(request: HttpRequest, topic: str, payload: int) -> JsonResponse:
    """Publish a number, and return the number of subscribers that get it."""
    try:
        return JsonResponse({"subscribers": pubsub.publish(topic, payload)})
    except pubsub.TopicNotFound:
        return JsonResponse({"missing": topic})


def create(request: HttpRequest, topic: str) -> JsonResponse:
    """Create a topic."""
    pubsub.create_topic(topic)
    return JsonResponse({"created": topic})


urlpatterns = [path("publish/<topic>/<int:payload>", publish), path("create/<topic>", create)]


class ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    """A server with a thread for each request."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    """Logs no requests."""

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # its name
        """Log nothing."""


def main() -> None:
    """Fork, and serve until a signal ends the processes."""
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        CHATROOM={"RELAY": os.environ["CHATROOM_RELAY"]},
        INSTALLED_APPS=["pubsub"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="not a secret",
    )
    django.setup()
    servers = [ThreadingServer(("127.0.0.1", 0), QuietHandler) for _ in range(PROCESSES)]
    for server in servers:
        server.set_app(WSGIHandler())
    pubsub.create_topic("parent")
    for server in servers:
        if not os.fork():
            server.serve_forever()
    sys.stdout.write(" ".join(str(server.server_port) for server in servers) + "\n")
    sys.stdout.flush()
    os.wait()


if __name__ == "__main__":
    main()
