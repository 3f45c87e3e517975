"""How the processes of a room prove to NATS who they are, over encrypted connections."""

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.cluster.processes.room import Room, payloads, publish
from tests.live.certificate import write_certificate
from tests.live.server import DAPHNE, PROJECT
from tests.live.waiting import PATIENCE, wait_until
from tests.relay.accounts import with_operator
from tests.relay.server import NatsServer


def test_processes_are_one_room(tmp_path: Path) -> None:
    """With TLS and a credentials file they exchange messages, and log nothing that is secret."""
    accounts, credentials = with_operator()
    (tmp_path / "chatroom.creds").write_text(credentials)
    certificate, key = map(str, write_certificate(tmp_path))
    tls = f'cert_file: "{certificate}", key_file: "{key}", ca_file: "{certificate}", verify: true'
    with NatsServer(f"{accounts}\ntls {{ {tls} }}") as nats, ExitStack() as stack:
        room = Room(
            nats,
            stack,
            CHATROOM_RELAY=nats.url.replace("nats:", "tls:"),
            CHATROOM_RELAY_CREDENTIALS=str(tmp_path / "chatroom.creds"),
            CHATROOM_RELAY_TLS_CA=certificate,
            CHATROOM_RELAY_TLS_CERT=certificate,
            CHATROOM_RELAY_TLS_KEY=key,
        )
        for _ in range(2):
            room.start_unready()
        room.wait_until_ready()
        a, b = room.servers
        a.create_topic("plain")
        wait_until(lambda: b.request("GET", "/topics/plain")[0] == 200)
        subscriber = b.subscriber("plain")
        publish(a, "plain", 1)
        assert payloads(subscriber, 1) == [1]
        assert room.complaints() == []
        secrets = re.findall(r"^[\w.-]{40,}$", credentials, re.MULTILINE)
        assert len(secrets) == 2  # the JWT and the seed
        assert not [word for word in secrets for server in room.servers if word in server.log()]


def test_unusable_file(tmp_path: Path) -> None:
    """A file without a key ends the start with one line, which does not show what it contains."""
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    done = subprocess.run(
        [sys.executable, *DAPHNE],
        cwd=PROJECT,
        env={
            **os.environ,
            "CHATROOM_RELAY": "nats://127.0.0.1:1",
            "CHATROOM_RELAY_NKEY": str(path),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "chatroom: CHATROOM_RELAY_NKEY cannot be used: it has no seed of an nkey\n"
    )
