"""What a process remembers of its publications: bounds, and honest answers."""

from pubsub.cluster.channels.sent import MAX_ANSWER_BYTES, SentLog


def add(log: SentLog, topics: str, partition: int = 1) -> None:
    """Remember one publication for each letter."""
    for topic in topics:
        log.add(partition, topic)


def test_numbers_of_each_partition() -> None:
    """Each partition counts its publications from 1, by itself."""
    log = SentLog()
    assert [log.add(1, "a"), log.add(2, "b"), log.add(1, "a")] == [1, 1, 2]
    assert (log.position(1), log.position(2), log.position(3)) == (2, 1, 0)
    assert log.positions() == {1: 2, 2: 1}


def test_counts_by_topic() -> None:
    """Any range that is remembered is counted by topic, both ends included."""
    log = SentLog()
    add(log, "abacab")
    assert log.count(1, 1, 6) == {"a": 3, "b": 2, "c": 1}
    assert log.count(1, 2, 4) == {"b": 1, "a": 1, "c": 1}
    assert log.count(1, 6, 6) == {"b": 1}


def test_what_is_not_known() -> None:
    """There is no answer for publications that never were, nor for an empty range."""
    log = SentLog()
    add(log, "ab")
    assert log.count(1, 2, 3) is None
    assert log.count(1, 0, 1) is None
    assert log.count(1, 2, 1) is None
    assert log.count(2, 1, 1) is None


def test_partition_forgets_its_oldest() -> None:
    """A partition remembers a number of publications, and answers only if it knows all."""
    log = SentLog(per_partition=3)
    add(log, "abcde")
    assert log.count(1, 3, 5) == {"c": 1, "d": 1, "e": 1}
    assert log.count(1, 2, 5) is None


def test_largest_partition_forgets_first() -> None:
    """Over the bound of all partitions, the one that remembers most forgets its oldest."""
    log = SentLog(in_all=10)
    add(log, "a" * 9, partition=1)
    add(log, "bc", partition=2)
    assert log.count(2, 1, 2) == {"b": 1, "c": 1}
    assert log.count(1, 1, 9) is None
    add(log, "d", partition=1)
    assert log.count(1, 10, 10) == {"d": 1}


def test_answer_is_bounded() -> None:
    """An answer with too many names is none, because it could not be sent."""
    log = SentLog()
    names = [f"{index:0128}" for index in range(MAX_ANSWER_BYTES // 128 + 1)]
    for name in names:
        log.add(1, name)
    assert log.count(1, 1, len(names)) is None
    assert len(log.count(1, 2, len(names)) or ()) == len(names) - 1
