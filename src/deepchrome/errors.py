"""The one kind of error a user sees as a message rather than a traceback."""

import difflib
from collections.abc import Iterable


class DeepChromeError(Exception):
    """A fault of the input: which file, row, gene or parameter, what was found, what was expected.

    The command line prints the message and exits with status 1.
    """


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the allowed name closest to `name`, or `""`."""
    close = difflib.get_close_matches(str(name), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def listing(items: Iterable[object], at_most: int = 5) -> str:
    """Join items for a message: the first few by name, the rest as a count."""
    names = [str(item) for item in items]
    shown = ", ".join(names[:at_most])
    return shown if len(names) <= at_most else f"{shown} and {len(names) - at_most:,} more"


def joined(items: Iterable[str]) -> str:
    """Join with commas and an "and"; empty for no items."""
    *first, last = list(items) or [""]
    return f"{', '.join(first)} and {last}" if first else last
