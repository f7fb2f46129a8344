"""A page: sections with a verdict, numbers, figures and tables, in one self-contained HTML file."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from deepchrome import __version__
from deepchrome.errors import DeepChromeError
from deepchrome.figures.text import Text, numeric, rows, spoken

CSS_DPI = 96
"""Pixels of CSS in an inch."""

SIMULATED = (
    "The data are simulated, with statistics fitted on real chromatin. Every number and figure on "
    "this page describes the simulation; none is a finding about real cells."
)
"""The notice of a page of simulated data."""

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

    @classmethod
    def of(cls, caption: str, table: pd.DataFrame) -> "Table":
        """Return a table as a stage wrote it."""
        numbers = numeric(table)
        return cls(
            caption,
            [spoken(name) for name in table.columns],
            rows(table),
            text=[spoken(name) for name in table.columns if name not in numbers],
        )

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


def picture(path: Path, text: Text) -> Figure:
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
        text.alt,
        text.caption,
    )
