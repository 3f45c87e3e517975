"""Follows the tutorial in `docs/authentication.md` in an empty directory."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

from tests.live.client import Client
from tests.live.server import PROJECT, Server
from tests.live.waiting import PATIENCE

GUIDE = (PROJECT / "docs/authentication.md").read_text()
FILE = re.compile(r"^(?:#|<!--) ([\w/.]+\.\w+)(, at the end)?(?: -->)?\n")
RUNSERVER = "python manage.py runserver"


def section(heading: str) -> str:
    """Return the text below a heading of the second level."""
    (text,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    return str(text)


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the language and the content of each fenced block that is not indented."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


class Tutorial:
    """The project of the tutorial, served by its own ``runserver``.

    Every file and command of the tutorial is used as it stands, with two exceptions: nothing is
    installed, because the packages of this interpreter and the chat room of this checkout are
    used, and the server runs on a free port without reloading itself.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT),
            "DJANGO_SETTINGS_MODULE": "club.settings",
        }
        for language, content in blocks(section("A tutorial: rooms for members only")):
            if language in ("python", "html"):
                self._write(content)
            elif language == "console":
                for line in content.splitlines():
                    self._follow(line.removeprefix("$ "))

    def _write(self, content: str) -> None:
        named = FILE.match(content)
        assert named, content
        path = self._directory / named[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if named[2] else "w") as file:
            file.write(content)

    def _follow(self, command: str) -> None:
        if command.startswith("cd "):
            self._directory /= command.removeprefix("cd ")
        elif command == RUNSERVER:
            words = (*command.split()[1:], "--noreload", "FREE_PORT")
            self.server = Server(*words, directory=self._directory, **self._environment)
        else:
            self.run(command)

    def run(self, command: str) -> str:
        """Run a command in the directory of the project; return what it prints."""
        environment = {**os.environ, **self._environment}
        if "startproject" in command:
            del environment["DJANGO_SETTINGS_MODULE"]
        result = subprocess.run(
            ["sh", "-ec", command],
            cwd=self._directory,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return result.stdout


class Visitor:
    """A browser without JavaScript: it keeps cookies, and sends the CSRF token of the last page."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self._cookies)
        )
        self._page = ""
        self.status = 0
        self.path = ""

    def open(self, path: str, **form: str) -> str:
        """Get a page, or post a form to it; return the page that follows."""
        if form:
            (form["csrfmiddlewaretoken"],) = set(
                re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', self._page)
            )
        url = f"http://127.0.0.1:{self._server.port}{path}"
        try:
            answer = self._opener.open(url, urlencode(form).encode() or None, timeout=PATIENCE)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            self.status = answer.status
            self.path = answer.url.removeprefix(f"http://127.0.0.1:{self._server.port}")
            self._page = answer.read().decode()
        return self._page

    def log_in(self, name: str, password: str, then: str) -> str:
        """Log in on the page to which one leads that needs it; return the page that follows."""
        self.open(then)
        assert self.path == f"/accounts/login/?next={then}"
        return self.open(self.path, username=name, password=password)

    def connect(self) -> Client:
        """Open a WebSocket, as the page does."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies)
        return self._server.connect(
            headers={"Cookie": cookies} if cookies else None,
            origin=f"http://127.0.0.1:{self._server.port}",
        )
