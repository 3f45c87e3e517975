"""The README's examples against a server, and its tables against the code."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

from chatroom_project import settings
from pubsub import conf
from pubsub.core.configuration import Configuration
from tests.live.client import Client
from tests.live.conftest import StartServer

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()


def blocks(language: str) -> list[list[str]]:
    """Return the lines of each fenced block in this language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in found]


def without_time(value: Any) -> Any:
    """Return a message without what depends on when it is sent."""
    return {name: part for name, part in value.items() if name not in ("ts", "uptime_sec")}


def test_curl_examples(start_server: StartServer) -> None:
    """Each command prints what the README says, in its order."""
    server = start_server()
    (lines,) = blocks("console")
    commands = lines[::2]
    assert len(commands) > 4
    for command, answer in zip(commands, lines[1::2], strict=True):
        words = shlex.split(command.removeprefix("$ ").replace("9090", str(server.port)))
        assert words[0] == "curl"
        result = subprocess.run(
            ["curl", "--silent", *words[1:]], capture_output=True, check=True, timeout=10
        )
        assert without_time(json.loads(result.stdout)) == without_time(json.loads(answer)), command


def play(client: Client, lines: list[str]) -> None:
    """Send what stands behind ">", and compare what stands behind "<"."""
    for line in lines:
        direction, text = line.split(" ", 1)
        if direction == ">":
            client.send(text)
            continue
        received = client.receive_text()
        assert re.sub('"ts":"[^"]+"', "", received) == re.sub('"ts":"[^"]+"', "", text)


def test_wscat_examples(start_server: StartServer) -> None:
    """Two terminals: the first one's last line comes from the second."""
    server = start_server()
    server.create_topic("orders")
    first, second = blocks("wscat")
    subscriber, publisher = server.connect(), server.connect()
    play(subscriber, first[:-1])
    play(publisher, second)
    play(subscriber, first[-1:])


def test_settings_table() -> None:
    """Every setting is there with its default, and no other."""
    others = dict(re.findall(r"^\| `(DJANGO_\w+)` \| (.*?) \|", README, re.MULTILINE))
    rows = re.findall(r"^\| `CHATROOM_(\w+)` \| `(.*?)` \|", README, re.MULTILINE)
    assert tuple(name for name, _ in rows) == conf.SETTING_NAMES
    assert conf.limits_from(dict(rows)) == Configuration()
    assert others == {
        "DJANGO_SECRET_KEY": "generated at each start",
        "DJANGO_DEBUG": f"`{str(settings.DEBUG).lower()}`",
        "DJANGO_ALLOWED_HOSTS": f"`{','.join(settings.ALLOWED_HOSTS)}`",
        "DJANGO_STATIC_ROOT": str(settings.STATIC_ROOT).lower(),
    }


def test_links_lead_somewhere() -> None:
    """In the README and in docs/: every relative link is a file."""
    for page in (PROJECT / "README.md", PROJECT / "CHANGELOG.md", *(PROJECT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_folders_of_the_map_exist() -> None:
    """And every folder of the project is in it."""
    named = set(re.findall(r"^\| `([\w/]+/)` \|", README, re.MULTILINE))
    assert all((PROJECT / folder).is_dir() for folder in named)
    packages = {f"pubsub/{path.parent.name}/" for path in PROJECT.glob("pubsub/*/__init__.py")}
    assert packages <= named
