"""Another checkout of this project as a peer, to see whether a change costs speed."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import CHAT_ROOM, CHAT_ROOM_ENVIRONMENT, PROJECT, Peer, daphne

NAME = "other"
"""How the results call the other checkout."""

SERVED = "chatroom_project/asgi.py"
"""A folder without this file is no checkout of the project."""


class NoCheckout(Exception):
    """The argument is neither a checkout nor a commit; the message says why."""


@contextmanager
def checked_out(where: str, repository: Path = PROJECT) -> Iterator[Peer]:
    """Give the server of another checkout as a peer.

    Nothing of the other checkout is imported here: its server runs as a process in its folder,
    with the interpreter of its own ``.venv``, or with this one if it has none.

    Args:
        where: A folder that holds a checkout, or anything that git resolves to a commit. A commit
            is checked out in a temporary worktree, which is removed at the end.
        repository: Where commits are looked for.

    Raises:
        NoCheckout: There is no such folder and no such commit, or the project is not in it.
    """
    folder = Path(where)
    if folder.is_dir():
        yield _peer(folder.resolve(), where)
        return
    commit = _git(repository, "rev-parse", "--verify", "--quiet", "--short", f"{where}^{{commit}}")
    if not commit:
        raise NoCheckout(f"{where} is neither a folder nor a commit")
    with tempfile.TemporaryDirectory(prefix="bench-") as parent:
        worktree = Path(parent, "checkout")
        if _git(repository, "worktree", "add", "--detach", str(worktree), commit) is None:
            raise NoCheckout(f"git cannot check out {where}")
        try:
            yield _peer(worktree, where if commit == where else f"{where} ({commit})")
        finally:
            _git(repository, "worktree", "remove", "--force", str(worktree))


def _peer(folder: Path, title: str) -> Peer:
    if not (folder / SERVED).is_file():
        raise NoCheckout(f"{title} has no {SERVED}")
    own = folder / ".venv/bin/python"
    interpreter = str(own) if own.exists() else sys.executable
    return Peer(
        NAME,
        f"chat room of {title}",
        (interpreter, *daphne(CHAT_ROOM)[1:]),
        CHAT_ROOM_ENVIRONMENT,
        rest=True,
        batches=True,
        folder=folder,
    )


def _git(repository: Path, *arguments: str) -> str | None:
    """Run git on a repository; return its output, or None if it fails."""
    # Git sets these for a hook, and they would take precedence over the working directory.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    done = subprocess.run(
        ["git", *arguments],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None
