"""The same settings, with views that take large uploads and send large responses."""

from tests.live.host.settings import *  # noqa: F403

ROOT_URLCONF = "tests.live.host.transfer_urls"
DATA_UPLOAD_MAX_MEMORY_SIZE = None
