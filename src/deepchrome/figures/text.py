"""A figure in words, and how words and numbers are written for people."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Text:
    """A figure in words.

    alt: what it shows, with numbers, for who does not see it. caption: how it was computed.
    """

    alt: str
    caption: str


def number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """Write a number with a true minus; a dash where it is not defined."""
    if value is None or not math.isfinite(value):
        return "–"
    rounded = round(float(value), digits) + 0.0  # no minus before zero
    return f"{rounded:{'+' if sign and rounded else ''},.{digits}f}".replace("-", "−")


def interval(low: float | None, high: float | None, digits: int = 3, sign: bool = False) -> str:
    """Write an interval: "0.886 to 0.906"; a dash where it is not defined."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    return f"{number(low, digits, sign)} to {number(high, digits, sign)}"


def count(n: int, one: str, many: str = "") -> str:
    """Write "1 cell type", "1,200 genes"."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def plain(value: Any) -> str:
    """Write any value of a table: whole numbers whole, others with three decimals or digits."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float):
        small = 0 < abs(value) < 0.01
        return f"{value:.3g}".replace("-", "−") if small else number(value)
    if isinstance(value, list):
        return ", ".join(plain(one) for one in value)
    return str(value)


def numeric(table: pd.DataFrame) -> list[str]:
    """Return the columns of a table that hold numbers."""
    return [name for name in table.columns if pd.api.types.is_numeric_dtype(table[name])]


def rows(table: pd.DataFrame) -> list[list[str]]:
    """Write the rows of a table."""
    numbers = numeric(table)
    return [
        [
            plain(value.item() if hasattr(value, "item") else value)
            if name in numbers
            else ("" if pd.isna(value) else str(value))
            for name, value in zip(table.columns, row, strict=True)
        ]
        for row in table.itertuples(index=False)
    ]


def spoken(name: object) -> str:
    """Write a name of code as words."""
    return str(name).replace("_", " ")


def sentence(text: str) -> str:
    """End with a stop; minuses before numbers become true ones."""
    text = re.sub(r"(?<![\w.)-])-(?=[\d.])", "−", text.strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def cited(numbers: Sequence[tuple[str, str]], *words: str) -> str:
    """Cite those numbers, name and value, whose names contain one of these words; or nothing."""
    found = [f"{name} {value}" for name, value in numbers if any(word in name for word in words)]
    return f" In numbers: {', '.join(found)}." if found else ""
