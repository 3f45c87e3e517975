"""The reverse proxies of `deploy/`, each with its own configuration file on free ports."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tests.live.certificate import write_certificate
from tests.live.client import Client
from tests.live.waiting import PATIENCE, accepts_connections, wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
{user}
events {{
    worker_connections 256;
}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/chatroom.conf;
}}
"""

CADDY = """
{{
    admin off
    auto_https disable_redirects
    storage file_system {folder}/storage
}}
"""


class Answer(NamedTuple):
    """A response and its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body, which must be declared as JSON."""
        assert self.headers["content-type"].startswith("application/json"), self
        return json.loads(self.body)


class Proxy:
    """A proxy process in front of a server's port.

    Args:
        folder: Where the process keeps its files.
        upstream: The port of the server.
        changes: Further changes of the configuration file, from the old text to the new.
    """

    def __init__(self, folder: Path, upstream: int, changes: dict[str, str]) -> None:
        self.certificate, self.key = write_certificate(folder)
        self._folder = folder
        self._changes = {"127.0.0.1:9090": f"127.0.0.1:{upstream}", **changes}
        self._context = ssl.create_default_context(cafile=self.certificate)
        self._clients: list[Client] = []
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = self._start()

    port: int
    """Where the proxy accepts TLS."""

    def _start(self) -> "subprocess.Popen[str]":
        raise NotImplementedError

    def _changed(self, path: str, changes: dict[str, str]) -> str:
        """Return the text of a configuration file after all changes, each of which must apply."""
        text = (DEPLOY / path).read_text()
        for old, new in (self._changes | changes).items():
            assert old in text, old
            text = text.replace(old, new)
        return text

    def _spawn(self, *command: str, **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, **options)

    def log(self) -> str:
        """Return what the process has printed so far."""
        return os.pread(self._log.fileno(), 1 << 24, 0).decode()

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Make a request on a connection of its own."""
        connection = self.open()
        try:
            return self.ask(connection, method, path, body, **headers)
        finally:
            connection.close()

    def open(self) -> http.client.HTTPSConnection:
        """Return a connection for several requests."""
        return http.client.HTTPSConnection(
            "localhost", self.port, context=self._context, timeout=PATIENCE
        )

    @staticmethod
    def ask(
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """Make a request; an underscore in a header's name stands for a hyphen."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            names["Content-Type"] = "application/json"
        connection.request(method, path, body, names)
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, response.read())

    def connect(self, **options: Any) -> Client:
        """Open a WebSocket that reads only when a test asks it to."""
        client = Client(self.port, tls=True, **options)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """Disconnect the clients and stop the process."""
        for client in self._clients:
            client.reset()
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._log.close()


class Nginx(Proxy):
    """nginx, which inherits listening sockets, so its ports are free for sure."""

    plain_port: int
    """Where it redirects to TLS."""

    def _start(self) -> "subprocess.Popen[str]":
        tls, plain = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        self.port, self.plain_port = (sock.getsockname()[1] for sock in (tls, plain))
        configuration = self._changed(
            "nginx/chatroom.conf",
            {
                "listen              443": f"listen 127.0.0.1:{self.port}",
                "listen      80": f"listen 127.0.0.1:{self.plain_port}",
                "server_name         chat.example.org": "server_name localhost",
                "server_name chat.example.org": "server_name localhost",
                "/etc/ssl/chatroom/fullchain.pem": str(self.certificate),
                "/etc/ssl/chatroom/privkey.pem": str(self.key),
            },
        )
        (self._folder / "chatroom.conf").write_text(configuration)
        user = "user root root;" if os.geteuid() == 0 else ""  # the folder is this user's
        (self._folder / "nginx.conf").write_text(NGINX.format(folder=self._folder, user=user))
        with tls, plain:
            return self._spawn(
                *("nginx", "-e", "stderr", "-c", str(self._folder / "nginx.conf")),
                env={**os.environ, "NGINX": f"{tls.fileno()};{plain.fileno()};"},
                pass_fds=[tls.fileno(), plain.fileno()],
            )


class Caddy(Proxy):
    """Caddy, with the test's certificate instead of one from a public authority."""

    def _start(self) -> "subprocess.Popen[str]":
        with socket.create_server(("127.0.0.1", 0)) as sock:
            self.port = sock.getsockname()[1]
        addresses = f"https://localhost:{self.port}, https://127.0.0.1:{self.port}"
        site = self._changed(
            "caddy/Caddyfile",
            {"\nchat.example.org {": f"\n{addresses} {{\ntls {self.certificate} {self.key}\n"},
        )
        path = self._folder / "Caddyfile"
        path.write_text(CADDY.format(folder=self._folder) + site)
        process = self._spawn(
            *("caddy", "run", "--config", str(path), "--adapter", "caddyfile"),
            env={**os.environ, "HOME": str(self._folder)},
        )

        def listens() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"Caddy does not start:\n{self.log()}")
            return accepts_connections(self.port)

        wait_until(listens)
        return process
