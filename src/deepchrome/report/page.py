"""A page: sections with a verdict, numbers, figures and tables, in one self-contained HTML file."""

import base64
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from deepchrome import __version__
from deepchrome.errors import DeepChromeError

CSS_DPI = 96
"""Pixels of CSS in an inch."""

LONG = 12
"""A table with more rows is folded away."""


@dataclass(frozen=True)
class Figure:
    """An embedded picture.

    data: a data: address. width, height: in pixels of CSS, at the size it was drawn for. alt: what
    it shows, in words, with numbers. caption: how it was computed.
    """

    data: str
    width: int
    height: int
    alt: str
    caption: str


@dataclass(frozen=True)
class Table:
    """A table of text; columns that are not in `text` hold numbers."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: Sequence[str]

    @property
    def long(self) -> bool:
        """Whether it is folded away."""
        return len(self.rows) > LONG


@dataclass(frozen=True)
class Section:
    """One question and what was found.

    id: the anchor. verdict: a sentence. word: the verdict in a word, where there is one. more:
    paragraphs. points: sentences as a list. numbers: name and value. animations: moving pictures,
    shown on demand. method: paragraphs, how it was computed. files: where the numbers are.
    """

    id: str
    question: str
    verdict: str
    word: str = ""
    more: Sequence[str] = ()
    points: Sequence[str] = ()
    commands: Sequence[str] = ()
    numbers: Sequence[tuple[str, str]] = ()
    figures: Sequence[Figure] = ()
    animations: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    links: Mapping[str, str] | None = None
    method: Sequence[str] = ()
    files: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """A whole page.

    lead: what it is of. notice: what must not be overlooked. facts: name and value; details: more
    of them, folded away. absent: what is not on the page, and why.
    """

    title: str
    lead: str
    notice: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    details: Sequence[tuple[str, str]] = ()
    absent: Sequence[str] = ()


def render(page: Page) -> str:
    """Return the HTML of a page, which needs no other file and no network.

    The same page gives the same text. Whatever comes from data is escaped.
    """
    environment = Environment(
        loader=PackageLoader("deepchrome", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        page=page, style=style, version=__version__
    )


def picture(path: Path, alt: str, caption: str) -> Figure:
    """Embed a PNG or GIF.

    Raises DeepChromeError where the file is not a whole picture.
    """
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "GIF")) as image:
            kind = str(image.format).lower()
            width, height = image.size
            dpi = float(image.info.get("dpi", (CSS_DPI, CSS_DPI))[0]) or CSS_DPI
            image.verify()
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's ways to say so
        raise DeepChromeError(
            f"{path}: not a whole PNG or GIF ({error}); run the stage again that draws it"
        ) from None
    scale = CSS_DPI / dpi
    encoded = base64.b64encode(content).decode()
    return Figure(
        f"data:image/{kind};base64,{encoded}",
        round(width * scale),
        round(height * scale),
        alt,
        caption,
    )


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


def sentence(text: str) -> str:
    """End with a stop; minuses before numbers become true ones."""
    text = re.sub(r"(?<![\w.)-])-(?=[\d.])", "−", text.strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def join(items: Iterable[str]) -> str:
    """Join with commas and an "and"."""
    *first, last = list(items)
    return f"{', '.join(first)} and {last}" if first else last


def count(n: int, one: str, many: str = "") -> str:
    """Write "1 cell type", "1,200 genes"."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"
