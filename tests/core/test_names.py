"""The rule for topic names."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub.core.errors import InvalidTopicName
from pubsub.core.names import NAME_PATTERN, validate_name


def is_name(name: str) -> bool:
    """Return whether the rule accepts a name."""
    try:
        return validate_name(name) is name
    except InvalidTopicName as error:
        return error.topic != name


@pytest.mark.parametrize(
    "name",
    [
        *("a", "orders", "x" * 128, "a.b-c_d:e", "a\\b", "%", '"'),
        *("комната", "Zürich", "Hà_Nội", "कमरा", "ห้องที่๑", "部屋", "방", "غرفة"),
        *("😀", "👍🏽", "❤", "ẹ\u0301x"),
    ],
)
def test_names(name: str) -> None:
    """A name may contain printable characters of any script."""
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "x" * 129, "a b", "a/b", "\t", "a\n", "\x00", "\x7f"),
        *("\u00a0", "\u2003", "\u2028", "\u3000", "\ud800", "\ue000"),
    ],
)
def test_not_printable(name: str) -> None:
    """Bad lengths, white space, slashes and characters that cannot be printed are refused."""
    assert not is_name(name)


@pytest.mark.parametrize(
    "character",
    [
        *("\u00ad", "\u034f", "\u115f", "\u1160", "\u17b4", "\u180b", "\u180e", "\u200b", "\u200d"),
        *("\u202e", "\u2060", "\u2800", "\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0"),
        *("\U0001d159", "\U000e0001", "\U000e0061", "\U000e0100"),
    ],
)
def test_invisible_characters(character: str) -> None:
    """Invisible characters are refused, alone and inside another name."""
    assert not is_name(character)
    assert not is_name(f"or{character}ders")


def test_unassigned_characters() -> None:
    """Code points without an assigned character are refused."""
    assert unicodedata.category("\u0378") == "Cn"
    assert not is_name("a\u0378")


@pytest.mark.parametrize("name", ["é", "Å", "한", "ṩ"])
def test_normalization(name: str) -> None:
    """Only the composed form (NFC) of a name is accepted."""
    composed = unicodedata.normalize("NFC", name)
    decomposed = unicodedata.normalize("NFD", name)
    assert decomposed != composed
    assert is_name(composed)
    assert not is_name(decomposed)
    assert not is_name("\u212b")  # ANGSTROM SIGN looks like Å and normalizes to it


def test_combining_marks() -> None:
    """Two combining marks in a row are accepted anywhere in a name, and a third is refused."""
    two = "x\u0301\u0302"
    assert is_name(two * 40)
    assert not is_name(f"a{two}\u0301")
    assert not is_name("x" + "\u0336" * 100)
    assert not is_name("ก" + "\u0e47" * 3)  # marks without a combining class count too
    assert not is_name("x" + "\u20dd" * 3)


@given(st.text(max_size=4))
def test_pattern_accepts_every_name(name: str) -> None:
    """The pattern in the schemas matches every name that the server accepts."""
    if is_name(name):
        assert re.search(NAME_PATTERN, name)


@pytest.mark.parametrize("name", ["a b", "a/b", "\x07", "\u00ad", "\u3164", "\u2800", "a\ufe0f"])
def test_pattern_refuses_what_it_can(name: str) -> None:
    """The pattern refuses white space, slashes, control and invisible characters."""
    assert not re.search(NAME_PATTERN, name)
