"""The README's examples work, and the documentation agrees with the code."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

from chatroom_project import settings
from pubsub import conf
from pubsub.auth.configuration import AccessConfiguration
from pubsub.core.configuration import Configuration
from pubsub.hosts import local_hosts
from tests.live.client import Client
from tests.live.conftest import StartServer
from tests.live.waiting import PATIENCE

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()


def blocks(language: str) -> list[list[str]]:
    """Return the lines of each fenced block of this language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in found]


def without_time(value: Any) -> Any:
    """Return a message without the fields that depend on the time."""
    return {name: part for name, part in value.items() if name not in ("ts", "uptime_sec")}


def test_curl_examples(start_server: StartServer) -> None:
    """Each curl command prints the answer that the README shows."""
    server = start_server()
    (lines,) = blocks("console")
    commands = lines[::2]
    assert len(commands) > 4
    for command, answer in zip(commands, lines[1::2], strict=True):
        words = shlex.split(command.removeprefix("$ ").replace("9090", str(server.port)))
        assert words[0] == "curl"
        result = subprocess.run(
            ["curl", "--silent", *words[1:]], capture_output=True, check=True, timeout=PATIENCE
        )
        assert without_time(json.loads(result.stdout)) == without_time(json.loads(answer)), command


def play(client: Client, lines: list[str]) -> None:
    """Send the lines marked ">", and compare those marked "<" with what arrives."""
    for line in lines:
        direction, text = line.split(" ", 1)
        if direction == ">":
            client.send(text)
            continue
        received = client.receive_text()
        assert re.sub('"ts":"[^"]+"', "", received) == re.sub('"ts":"[^"]+"', "", text)


def test_wscat_examples(start_server: StartServer) -> None:
    """Both wscat sessions show what the README shows."""
    server = start_server()
    server.create_topic("orders")
    first, second = blocks("wscat")
    subscriber, publisher = server.connect(), server.connect()
    play(subscriber, first[:-1])
    play(publisher, second)
    play(subscriber, first[-1:])


def test_settings_table() -> None:
    """The table has every setting with its default, and no others."""
    others = dict(
        re.findall(r"^\| `(DJANGO_\w+|CHATROOM_LOG_FORMAT)` \| (.*?) \|", README, re.MULTILINE)
    )
    rows = re.findall(
        r"^\| `CHATROOM_(?!LOG_FORMAT)(\w+)` \| (?:`(.*?)`|none) \|", README, re.MULTILINE
    )
    assert tuple(name for name, _ in rows) == conf.SETTING_NAMES
    assert conf.configuration_from(dict(rows)) == Configuration()
    assert conf.access_from(dict(rows)).config == AccessConfiguration()
    assert local_hosts() == settings.ALLOWED_HOSTS
    assert others == {
        "DJANGO_SECRET_KEY": "generated at each start",
        "DJANGO_DEBUG": f"`{str(settings.DEBUG).lower()}`",
        "DJANGO_ALLOWED_HOSTS": "`localhost` and its subdomains, every IP address, and the "
        "machine's own name",
        "DJANGO_STATIC_ROOT": str(settings.STATIC_ROOT).lower(),
        "CHATROOM_LOG_FORMAT": "`console`",
    }


def anchors(page: Path) -> set[str]:
    """Return the anchors that the forge derives from a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_are_valid() -> None:
    """Each relative link in the documentation leads to an existing file and heading."""
    pages = [
        *PROJECT.glob("*.md"),
        *(PROJECT / "docs").rglob("*.md"),
        *PROJECT.glob(".github/*.md"),
    ]
    assert len(pages) > 10
    for page in pages:
        for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
            target = page.parent / link if link else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors(target), f"{page.name}: {link}#{anchor}"


def test_paths_in_the_documentation_exist() -> None:
    """Every path named in CONTRIBUTING.md and docs/architecture.md exists."""
    for page in (PROJECT / "CONTRIBUTING.md", PROJECT / "docs/architecture.md"):
        named = set(
            re.findall(
                r"`((?:pubsub|tests|bench|docs|chatroom_project)/[\w/.]*)`", page.read_text()
            )
        )
        assert len(named) > 10
        missing = {path for path in named - {"pubsub/relay/"} if not (PROJECT / path).exists()}
        assert not missing, page.name


def test_decisions_are_numbered_and_listed() -> None:
    """The index lists each decision once, in order, under the title of its record."""
    folder = PROJECT / "docs/decisions"
    rows = re.findall(
        r"^(\d+)\. \[(.+)\]\((.+)\)$", (folder / "README.md").read_text(), re.MULTILINE
    )
    records = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    assert [name for _, _, name in rows] == [record.name for record in records]
    for expected, (number, title, name) in enumerate(rows, start=1):
        assert name.startswith(f"{expected:04}-")
        assert int(number) == expected
        assert (folder / name).read_text().startswith(f"# {number}. {title}\n")


def test_folders_of_the_map_exist() -> None:
    """The README's map lists every package, and each listed folder exists."""
    named = set(re.findall(r"^\| `([\w/]+/)` \|", README, re.MULTILINE))
    assert all((PROJECT / folder).is_dir() for folder in named)
    packages = {f"pubsub/{path.parent.name}/" for path in PROJECT.glob("pubsub/*/__init__.py")}
    assert packages <= named
