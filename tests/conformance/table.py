"""The verdicts on two servers as a table, and the cases in which ours falls short."""

from collections import Counter
from collections.abc import Iterator, Mapping

from tests.conformance.suite import FAILED, RANK, VERDICTS

TITLES = {
    "1": "Framing",
    "2": "Pings and pongs",
    "3": "Reserved bits",
    "4": "Opcodes",
    "5": "Fragmentation",
    "6": "UTF-8",
    "7": "Closing handshake",
    "9": "Limits and performance",
    "10": "Miscellaneous",
    "12": "Compression",
    "13": "Negotiation of compression",
}

SUMMARY = "all"


def section(case: str) -> str:
    """Return the section that a case belongs to."""
    return case.partition(".")[0]


def order(case: str) -> tuple[int, ...]:
    """Return the key that sorts cases as the suite numbers them."""
    return tuple(map(int, case.split(".")))


def shortcomings(ours: Mapping[str, str], reference: Mapping[str, str]) -> list[str]:
    """Return the cases that fail on ours, or in which the reference does better, in order.

    A case on which there is no verdict counts as failed.
    """
    return sorted(
        (
            case
            for case in ours.keys() | reference.keys()
            if (rank := RANK[ours.get(case, FAILED)]) == RANK[FAILED]
            or rank > RANK[reference.get(case, FAILED)]
        ),
        key=order,
    )


def table(ours: Mapping[str, str], reference: Mapping[str, str]) -> Iterator[str]:
    """Give the lines for the terminal."""
    yield f"{'':<26}{'ours':>18}{'Daphne':>32}"
    yield f"{'':<26}{_head()}{_head()}"
    sections = sorted({section(case) for case in ours.keys() | reference.keys()}, key=int)
    for number in (*sections, SUMMARY):
        title = "All" if number == SUMMARY else f"{number:>2} {TITLES.get(number, '')}"
        yield f"{title:<26}{_counts(ours, number)}{_counts(reference, number)}".rstrip()
    if falling_short := shortcomings(ours, reference):
        yield "\nCases that fail on ours, or in which Daphne does better:"
        for case in falling_short:
            yield f"  {case:<10}{ours.get(case, FAILED):<16}Daphne: {reference.get(case, FAILED)}"


def _head() -> str:
    return "".join(f"{word:>8}" for word in ("OK", "non-st.", "info", "failed"))


def _counts(verdicts: Mapping[str, str], number: str) -> str:
    counts = Counter(
        verdict for case, verdict in verdicts.items() if number in (SUMMARY, section(case))
    )
    return "".join(f"{counts[verdict] or '':>8}" for verdict in VERDICTS)
