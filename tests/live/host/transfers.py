"""The host project's settings, with views for large uploads and downloads."""

import os

from tests.live.host.settings import *  # noqa: F403

ROOT_URLCONF = "tests.live.host.transfer_urls"
DATA_UPLOAD_MAX_MEMORY_SIZE = None
CHATROOM = {"TRUSTED_PROXIES": os.environ.get("TRANSFERS_PROXIES", "")}
