"""The page whose tables are calculated: each stands between two marks with its name."""

from collections.abc import Mapping
from pathlib import Path


def fill(text: str, blocks: Mapping[str, str]) -> str:
    """Return a page with its tables replaced.

    Raises:
        ValueError: The page has no marks for a table.
    """
    for name, block in blocks.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        head, found, rest = text.partition(begin)
        _, ended, tail = rest.partition(end)
        if not (found and ended):
            raise ValueError(f"the page has no lines {begin} and {end}")
        text = f"{head}{begin}\n\n{block}\n\n{end}{tail}"
    return text


def write(blocks: Mapping[str, str], page: Path) -> None:
    """Replace the tables of a page."""
    page.write_text(fill(page.read_text(), blocks))
