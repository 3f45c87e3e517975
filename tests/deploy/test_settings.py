"""The settings in the examples of `deploy/` exist, and their values are valid."""

import re
from pathlib import Path

import pytest

from pubsub import conf

DEPLOY = Path(__file__).parents[2] / "deploy"

FILES = [
    "systemd/chatroom.env",
    "kubernetes/configmap.yaml",
    "kubernetes-cluster/configmap.patch.yaml",
]


@pytest.mark.parametrize("file", FILES)
def test_settings_exist(file: str) -> None:
    """Every setting has a known name and a valid value."""
    found = re.findall(
        r'^\s*#?\s*CHATROOM_(\w+)(?:=|: )"?(.*?)"?$', (DEPLOY / file).read_text(), re.MULTILINE
    )
    settings = {name: value for name, value in found if name != "LOG_FORMAT"}
    assert settings
    conf.configuration_from(settings)
    conf.access_from(settings)
    conf.relay_from(settings)
