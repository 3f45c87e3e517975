"""Patterns of topic names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub.auth.identity import NOTHING, Identity, Patterns, compile_patterns


@pytest.mark.parametrize(
    ("pattern", "covered", "others"),
    [
        ("orders", ["orders"], ["order", "orders2", "ORDERS", ""]),
        ("user.42.*", ["user.42.", "user.42.a", "user.42.a.b"], ["user.42", "user.420.a", "x"]),
        ("*", ["", "a", "ü.b"], []),
        ("*.log", [".log", "a.log", "a.log.log"], ["a.logs", "log"]),
        ("a*b*c", ["abc", "axbxc", "abcbc"], ["ab", "acb", "abcd"]),
        ("a**b", ["ab", "axb"], ["a", "b"]),
        ("a.b", ["a.b"], ["axb"]),
        ("[x]?+(", ["[x]?+("], ["x"]),
        ("ab*ba", ["abba", "abxba"], ["aba"]),
    ],
)
def test_patterns(pattern: str, covered: list[str], others: list[str]) -> None:
    """A ``*`` stands for any run of characters, everything else for itself."""
    patterns = Patterns([pattern])
    assert all(map(patterns.cover, covered))
    assert not any(map(patterns.cover, others))


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_patterns_equal_a_plain_regular_expression(pattern: str, name: str) -> None:
    """The atomic groups cover exactly what a backtracking expression would."""
    plain = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name)
    assert Patterns([pattern]).cover(name) == (plain is not None)


def test_no_pattern_is_slow() -> None:
    """A pattern that would make a backtracking expression run for ever is matched at once.

    The test would not end otherwise.
    """
    assert not Patterns(["*a" * 60 + "b"]).cover("a" * 128)


def test_several_patterns() -> None:
    """Each of several patterns may cover a name."""
    patterns = Patterns(["orders", "a.*", "b.*"])
    assert [patterns.cover(name) for name in ("orders", "a.1", "b.2", "c.3")] == [1, 1, 1, 0]
    assert patterns
    assert not NOTHING
    assert not NOTHING.cover("orders")


def test_equal_patterns_share_one_object() -> None:
    """Clients with the same rights share the compiled patterns."""
    assert compile_patterns(("a", "b*")) is compile_patterns(("a", "b*"))
    assert Patterns(["a"]) == Patterns(("a",)) != Patterns(["b"])
    assert hash(Patterns(["a"])) == hash(Patterns(["a"]))
    assert "orders" in repr(Patterns(["orders"]))


def test_identities_are_immutable_values() -> None:
    """An identity cannot be changed, and does not show what the token says about the user."""
    identity = Identity("42", info=b'{"phone":1}')
    with pytest.raises(AttributeError):
        identity.user = "43"  # type: ignore[misc]
    assert identity == Identity("42", info=b'{"phone":1}')
    assert "phone" not in repr(identity)
