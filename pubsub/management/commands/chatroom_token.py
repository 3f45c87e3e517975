"""``manage.py chatroom_token``: print a token."""

import argparse
import re
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from pubsub import conf
from pubsub.auth.errors import InvalidToken
from pubsub.auth.issue import issue_token, parse_info

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 15m, 1h or 7d")
    return int(match[1]) * _UNITS[match[2] or "s"]


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty topic name")
    return names


def _info(text: str) -> dict[str, Any]:
    try:
        return parse_info(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class Command(BaseCommand):
    """Prints a token that is signed with ``CHATROOM_JWT_SECRET`` or with a private key."""

    help = "Print a token for a client of the chat room."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--sub", required=True, help="the user")
        for right, meaning in (
            ("subscribe", "read"),
            ("publish", "publish to"),
            ("manage", "create and delete"),
        ):
            parser.add_argument(
                f"--{right}",
                action="extend",
                type=_names,
                default=[],
                metavar="TOPICS",
                help=f"topics that the user may {meaning}; separated by commas, with * for any "
                "characters",
            )
        parser.add_argument(
            "--ttl",
            type=_duration,
            default=3600,
            help="how long the token is valid, such as 90s, 15m, 1h or 7d (default: 1h)",
        )
        parser.add_argument("--info", type=_info, metavar="JSON", help="shown in presence")
        parser.add_argument(
            "--key",
            type=Path,
            metavar="FILE",
            help="a private key in PEM format, for set-ups with a public key",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the token.

        Raises:
            CommandError: The settings or the arguments are invalid.
        """
        try:
            access = conf.get_access()
            token = issue_token(
                access.config,
                options["sub"],
                ttl=options["ttl"],
                rights={right: options[right] for right in ("subscribe", "publish", "manage")},
                info=options["info"],
                key=options["key"],
            )
            if options["key"] is None:
                access.verify_token(token)  # names the claim that is too long
        except (ValueError, ImproperlyConfigured, InvalidToken) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(token)
