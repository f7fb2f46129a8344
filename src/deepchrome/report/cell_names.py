"""What cell types are called on a page."""

from deepchrome.data import reference


def cell_name(cell: str) -> str:
    """Return what Roadmap calls a cell type; empty where it is not Roadmap's."""
    return str(reference.cell_types()["name"].get(cell, ""))
