"""Settings of a host project."""

SECRET_KEY = "not a secret"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.live.host.urls"
INSTALLED_APPS = ["daphne", "pubsub"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
CHATROOM = {"AUTO_CREATE_TOPICS": False, "QUEUE_SIZE": 64}
