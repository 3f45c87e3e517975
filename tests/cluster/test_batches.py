"""How publications travel together."""

import msgspec
import pytest

from pubsub.cluster.channels.batches import Batch, Item, decode_batch, encode_batch, split


def item(size: int, topic: str = "t") -> Item:
    """Return a publication with an event of so many bytes."""
    return Item(topic, None, None, b"x" * size)


def test_batch_comes_back() -> None:
    """A batch is decoded as it was encoded, its events byte for byte."""
    batch = Batch(
        "ab" * 8, 41, [Item("t", "id", "42", b'{"a":1.50}'), Item("\u00e9", None, None, b"")]
    )
    assert decode_batch(encode_batch(batch)) == batch
    assert batch.last == 42


def test_anything_else_is_refused() -> None:
    """What is not a batch cannot be decoded."""
    with pytest.raises(msgspec.DecodeError):
        decode_batch(b"\x93\x01\x02\x03")


def test_runs_fit() -> None:
    """Each run is encoded in at most the given size, unless it is one item, and none is lost."""
    items = [item(size, "\u20ac" * 100) for size in (10, 1_000, 2_000, 5_000, 10, 10, 900)]
    runs = list(split(items, 3_000))
    assert [one for run in runs for one in run] == items
    assert all(
        len(encode_batch(Batch("f" * 16, 1 << 60, run))) <= 3_000 for run in runs if len(run) > 1
    )
    assert [len(run) for run in runs] == [2, 1, 1, 3]


def test_no_items_make_no_run() -> None:
    """Nothing is split into nothing."""
    assert list(split([], 3_000)) == []
