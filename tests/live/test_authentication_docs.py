"""What `docs/authentication.md` shows works: its examples with tokens, and the whole tutorial."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.auth.support import SECRET, token
from tests.live.conftest import StartServer
from tests.live.server import PROJECT, Server
from tests.live.test_readme import play
from tests.live.tutorial import Tutorial, Visitor, section
from tests.live.waiting import PATIENCE

# --- Tokens ---


def indented_blocks(language: str) -> list[str]:
    """Return the blocks of a language about tokens, without their indentation."""
    found = re.findall(
        rf"^( *)```{language}\n(.*?)^\1```", section("Tokens"), re.MULTILINE | re.DOTALL
    )
    return [textwrap.dedent(content) for _, content in found]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server as the guide starts it."""
    with closing(Server(CHATROOM_AUTH="required", CHATROOM_JWT_SECRET=SECRET)) as server:
        yield server
        assert server.complaints() == []


def test_examples_with_tokens(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands print what the guide shows, and the conversations go as it shows them."""
    monkeypatch.setenv("CHATROOM_JWT_SECRET", SECRET)
    (console,) = indented_blocks("console")
    make_token, curl, answer = console.replace("9090", str(server.port)).splitlines()
    script = (
        f"{make_token.removeprefix('$ ').replace('.venv/bin/python', sys.executable)}\n"
        f'echo "$TOKEN"\n{curl.removeprefix("$ ").replace("curl", "curl --silent")}'
    )
    result = subprocess.run(
        ["sh", "-ec", script],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    made, created = result.stdout.splitlines()
    assert json.loads(created) == json.loads(answer)

    conversation, first_message = indented_blocks("wscat")
    client = server.connect(headers={"Authorization": f"Bearer {made}"})
    play(client, conversation.splitlines())

    client = server.connect()
    sent, received = first_message.splitlines()
    client.send(sent.removeprefix("> ").replace("TOKEN", token()))
    shown = json.loads(received.removeprefix("< "))
    ack = client.receive()
    assert list(ack) == list(shown)
    varying = ("ts", "client_id", "expires_in")
    assert all(ack[name] == shown[name] for name in shown if name not in varying)


def assert_usable(server: Server, text: str) -> None:
    """Check that a token has the rights that both backends give it."""
    client = server.connect(subprotocols=["chatroom.v1", f"chatroom.bearer.{text}"])
    for topic, code in (("user.42.inbox", "TOPIC_NOT_FOUND"), ("user.43.inbox", "FORBIDDEN")):
        assert client.ask(type="subscribe", topic=topic)["error"]["code"] == code


def test_token_from_python(server: Server) -> None:
    """The Python example makes a token that the server accepts."""
    (source,) = indented_blocks("python")
    names: dict[str, object] = {}
    exec(source, names)
    assert_usable(server, names["chat_token"](42, SECRET))  # type: ignore[operator]


def test_token_from_node(server: Server) -> None:
    """The example for Node.js makes a token that the server accepts."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    source = indented_blocks("js")[0].replace("export ", "")
    script = f"{source}\nconsole.log(chatToken(42, {json.dumps(SECRET)}));"
    result = subprocess.run(
        [node, "--input-type=module", "--eval", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert_usable(server, result.stdout.strip())


def test_key_pair(start_server: StartServer, tmp_path: Path) -> None:
    """The commands of the guide make a key pair, with which the server and the command agree."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (commands,) = [block for block in indented_blocks("sh") if "openssl" in block]
    *generate, export = commands.splitlines()
    for command in generate:
        subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, capture_output=True)
    name, _, file = export.removeprefix("export ").partition("=")
    server = start_server(CHATROOM_AUTH="required", **{name: str(tmp_path / file)})
    result = subprocess.run(
        [
            *(sys.executable, "manage.py", "chatroom_token", "--sub", "42"),
            *("--subscribe", "user.42.*", "--key", tmp_path / "private.pem"),
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert_usable(server, result.stdout.strip())


# --- The tutorial ---

ROOM = "/rooms/garden"


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tutorial]:
    """The project at the end of the tutorial."""
    tutorial = Tutorial(tmp_path_factory.mktemp("tutorial"))
    with closing(tutorial.server):
        yield tutorial
        log = tutorial.server.log()
        assert not re.search("Traceback|Error|System check identified [^n]", log), log


def test_tutorial(tutorial: Tutorial) -> None:
    """Members talk until their membership ends, and nobody else hears anything."""
    club = tutorial.server
    ann, bob, eve, nobody = (Visitor(club) for _ in range(4))
    page = ann.log_in("ann", "ann likes roses", ROOM)
    assert ann.path == ROOM
    names = json.loads(re.findall(r'<script id="names" [^>]*>(.*?)</script>', page)[0])
    assert set(names.values()) == {"ann", "bob"}
    script = re.findall(r'from "(/static/[^"]+)"', page)[0]
    assert "export function connect" in ann.open(script)
    bob.log_in("bob", "bob likes tulips", ROOM)
    eve.log_in("eve", "eve likes apples", ROOM)
    assert eve.status == 404

    subscribe = {"type": "subscribe", "topic": "garden"}
    reader, writer, stranger, visitor = (who.connect() for who in (bob, ann, eve, nobody))
    assert stranger.ask(subscribe)["error"]["code"] == "FORBIDDEN"
    assert stranger.publish("garden")["error"]["code"] == "FORBIDDEN"
    assert visitor.ask(subscribe)["error"]["code"] == "UNAUTHORIZED"
    for client in (reader, writer):
        assert client.ask(subscribe)["type"] == "ack"
        assert client.ask({**subscribe, "topic": "attic"})["error"]["code"] == "FORBIDDEN"
    assert writer.publish("garden", "hello")["type"] == "ack"
    event = reader.receive()
    assert (names[event["user"]], event["message"]["payload"]) == ("ann", "hello")

    memberships = ann.open("/admin/rooms/membership/")
    (delete,) = re.findall(r'href="([^"]+)change/">bob in garden', memberships)
    ann.open(f"{delete}delete/")
    ann.open(f"{delete}delete/", post="yes")
    assert ann.path == "/admin/rooms/membership/"
    assert reader.receive()["msg"] == "permission_revoked"
    assert writer.publish("garden", "secret")["type"] == "ack"
    assert reader.ask(subscribe)["error"]["code"] == "FORBIDDEN"
    reader.assert_nothing_came()


GROUPS = """
from django.contrib.auth.models import Group, User
import rooms.signals
exec(SOURCE, vars(rooms.signals))
rooms.signals.ask_again = print
group, user = Group.objects.create(name="gardeners"), User.objects.get(username="eve")
user.groups.add(group)
group.user_set.remove(user)
group.user_set.add(user)
user.groups.clear()
"""


def test_signal_of_groups(tutorial: Tutorial) -> None:
    """The example for groups asks again after each change, from whichever side it comes."""
    details = section("In a Django project: details")
    (source,) = re.findall(r"^  ```python\n(.*?)^  ```", details, re.MULTILINE | re.DOTALL)
    script = GROUPS.replace("SOURCE", repr(textwrap.dedent(source)))
    asked = tutorial.run(f"python manage.py shell --no-imports -c {shlex.quote(script)}")
    assert len(asked.split()) == 4
    assert len(set(asked.split())) == 1
