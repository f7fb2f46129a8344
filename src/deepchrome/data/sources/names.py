"""Names of cell types, genes and chromosomes: what is let in, at the door.

They become parts of paths, tables, pages and figures, so what means something there is refused.
"""

import re
from collections.abc import Iterable

from deepchrome.errors import DeepChromeError

CHARACTERS = "A-Za-z0-9_.+-"
"""The characters of a cell type's name, as in a class of a pattern."""

CELL_NAME = re.compile(rf"[A-Za-z0-9][{CHARACTERS}]{{0,99}}")
"""A cell type's name; it becomes a part of paths."""

RESERVED = ("all", "pooled")
"""Words that commands take for several cell types."""

MISSING = ("na", "nan", "null", "none", "n.a")
"""Words that readers of tables take for no value."""

EID = r"E\d{3}"
"""Roadmap's names, such as E003."""

GENE_NAME = re.compile(r"[A-Za-z0-9_(][A-Za-z0-9_.:()@|+,'*~-]{0,99}")
"""A gene's id or symbol, whoever made it: ENSG00000000003, W02C12.3, Su(var)2-5, ARG5,6, tRNA:K."""


def check_cell(name: str, where: str) -> None:
    """Refuse what cannot be a cell type's name. where: begins the message, with file and line."""
    if not CELL_NAME.fullmatch(name):
        raise DeepChromeError(
            f"{where}cell type: found {name[:120]!r}, expected a name of letters, digits and _.+-, "
            "100 at most, a letter or digit first"
        )
    if name.lower() in RESERVED or name.lower() in MISSING:
        means = "several cell types" if name.lower() in RESERVED else "a missing value"
        raise DeepChromeError(
            f"{where}cell type: found {name!r}, which means {means} elsewhere; name it otherwise"
        )


def check_distinct(cells: Iterable[str], where: str) -> None:
    """Refuse cell types whose names differ in case alone: on some disks they are one file."""
    seen: dict[str, str] = {}
    for cell in cells:
        other = seen.setdefault(cell.lower(), cell)
        if other != cell:
            raise DeepChromeError(
                f"{where}cell types {other} and {cell} differ in upper and lower case alone; "
                "rename one"
            )


def file_name(name: str) -> str:
    """Return a name that is safe as a part of a path: other characters become _."""
    return re.sub(rf"[^{CHARACTERS}]", "_", name).lstrip(".-")[:100] or "_"
