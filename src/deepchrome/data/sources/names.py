"""Patterns of the names of cell types."""

import re

CHARACTERS = "A-Za-z0-9_.+-"
"""The characters of a name, as in a class of a pattern."""

CELL_NAME = re.compile(rf"[A-Za-z0-9][{CHARACTERS}]*")
"""A cell type's name; it becomes a part of paths."""

EID = r"E\d{3}"
"""Roadmap's names, such as E003."""
