"""The rule for topic names: two names that look the same are the same, and every name is visible.

A name is 1 to 128 printable characters without white space and without ``/``, in Unicode
normalization form NFC, without invisible characters, and with at most two combining marks in a row.

- *Printable* excludes control, format, surrogate, private-use and unassigned characters
  (`str.isprintable`); which characters are assigned depends on Python's version of Unicode.
- *White space* includes the few symbols that are drawn as an empty space, such as
  U+2800 BRAILLE PATTERN BLANK.
- *Invisible* means that Unicode calls the character default-ignorable: fillers, joiners and
  variation selectors.
- *Combining marks* are the characters of Unicode's categories Mn, Mc and Me.
"""

import re
import unicodedata

from pubsub.core.errors import InvalidTopicName

MAX_NAME_LENGTH = 128

MAX_COMBINING_MARKS = 2
"""Combining marks in a row: enough for nearly all scripts, too few to cover the line above."""

BLANK_SYMBOLS = "\u2800\U00013441\U00013442\U00016fe4\U0001d159"
"""Symbols that are drawn as an empty space, although Unicode does not call them white space."""

INVISIBLE_RANGES = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""Default_Ignorable_Code_Point in DerivedCoreProperties.txt of Unicode 17.0, first and last."""

_INVISIBLE = "".join(f"{chr(first)}-{chr(last)}" for first, last in INVISIBLE_RANGES)
_find_invisible = re.compile(f"[{BLANK_SYMBOLS}{_INVISIBLE}]").search

_ESCAPED = "".join(
    rf"\u{first:04x}-\u{last:04x}" for first, last in INVISIBLE_RANGES if last <= 0xFFFF
)
NAME_PATTERN = rf"^[^\s/\u0000-\u001f\u007f-\u009f\u2800{_ESCAPED}]+$"
"""As much of the rule as one regular expression can express in Python, ECMAScript and JSON Schema.

Characters outside the Basic Multilingual Plane are left out: ECMAScript without its flag ``u``
would read each of them as two characters.
"""


def validate_name(name: str) -> str:
    """Return ``name`` unchanged if it obeys the rule of this module.

    Raises:
        InvalidTopicName: The name breaks the rule.
    """
    # str.isprintable() is false for every separator except the space.
    valid = 1 <= len(name) <= MAX_NAME_LENGTH and name.isprintable() and not {" ", "/"} & set(name)
    if not valid or not (name.isascii() or _is_unambiguous(name)):
        raise InvalidTopicName(name)
    return name


def _is_unambiguous(name: str) -> bool:
    return (
        unicodedata.is_normalized("NFC", name)
        and _find_invisible(name) is None
        and _longest_run_of_marks(name) <= MAX_COMBINING_MARKS
    )


def _longest_run_of_marks(name: str) -> int:
    longest = run = 0
    for character in name:
        run = run + 1 if unicodedata.category(character).startswith("M") else 0
        longest = max(longest, run)
    return longest
