"""The README's examples work, and the documentation agrees with the code."""

import re
import shlex
import subprocess
from pathlib import Path

from chatroom_project import settings
from pubsub import conf
from pubsub.auth.configuration import AccessConfiguration
from pubsub.core.configuration import Configuration
from pubsub.hosts import local_hosts
from pubsub.relay.configuration import RelayConfiguration
from tests.live.client import Client
from tests.live.conftest import StartServer
from tests.live.server import Server
from tests.live.waiting import PATIENCE

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()


def blocks(language: str, heading: str) -> list[list[str]]:
    """Return the lines of each fenced block of this language under a heading."""
    _, found = README.split(f"\n### {heading}\n")
    section = re.split("^##", found, maxsplit=1, flags=re.MULTILINE)[0]
    fenced = re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in fenced]


def comparable(text: str) -> str:
    """Replace what differs from run to run: times, the topic's epoch and the client's id."""
    text = re.sub(r'("(?:ts|epoch|client_id)":)"[^"]+"', r'\1"…"', text)
    return re.sub(r"^id: [^:]+:", "id: …:", re.sub(r'("uptime_sec":)\d+', r"\1…", text))


def curl(command: str, server: Server) -> list[str]:
    """Return the arguments of a command of the README, for this server."""
    words = shlex.split(command.removeprefix("$ ").replace("9090", str(server.port)))
    assert words[0] == "curl"
    return ["curl", "--silent", "--max-time", str(PATIENCE), *words[1:]]


def run_curl(lines: list[str], server: Server) -> None:
    """Run each command, and compare what it prints with the line below it."""
    for command, answer in zip(lines[::2], lines[1::2], strict=True):
        result = subprocess.run(
            curl(command, server), stdout=subprocess.PIPE, check=True, text=True
        )
        assert comparable(result.stdout) == comparable(answer), command


def play(client: Client, lines: list[str]) -> None:
    """Send the lines marked ">", and compare those marked "<" with what arrives."""
    for line in lines:
        direction, text = line.split(" ", 1)
        if direction == ">":
            client.send(text)
            continue
        assert comparable(client.receive_text()) == comparable(text)


def test_curl_examples(start_server: StartServer) -> None:
    """Each curl command prints the answer that the README shows."""
    (lines,) = blocks("console", "curl")
    assert len(lines) > 8
    run_curl(lines, start_server())


def test_wscat_examples(start_server: StartServer) -> None:
    """Both wscat sessions show what the README shows."""
    server = start_server()
    server.create_topic("orders")
    first, second = blocks("wscat", "wscat")
    subscriber, publisher = server.connect(), server.connect()
    play(subscriber, first[:-1])
    play(publisher, second)
    play(subscriber, first[-1:])


def test_recovery_examples(start_server: StartServer) -> None:
    """What was missed is recovered as the README shows, over a WebSocket and from a stream."""
    server = start_server()
    (commands,) = blocks("console", "Nothing lost")
    run_curl(commands, server)
    (session,) = blocks("wscat", "Nothing lost")
    epoch = server.request("GET", "/topics/news")[1]["epoch"]
    play(server.connect(), [line.replace("x9Qa71Bz", epoch) for line in session])
    ((command, *stream),) = blocks("console", "Without a WebSocket")
    with subprocess.Popen(curl(command, server), stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        try:
            for line in stream:
                assert comparable(reader.stdout.readline()) == comparable(line + "\n")
        finally:
            reader.kill()


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
    assert conf.relay_from(dict(rows)) == RelayConfiguration()
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
