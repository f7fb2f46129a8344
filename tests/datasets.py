"""A dataset.json, as small as can be."""

from pathlib import Path

from deepchrome import MARKS, seals


def write_info(folder: Path, cells: list[str], **changes: object) -> None:
    """Write the dataset.json of these cell types. changes: keys of it with other values."""
    info = {
        "cells": cells,
        "marks": list(MARKS),
        "values": "counts",
        "source": "simulated",
        "orientation": "genomic",
        "h3k4me3_halved": False,
        "labels": "rpkm",
        "rpkm_median": dict.fromkeys(cells),
        "hash": "0123456789abcdef",
    }
    seals.write_json(folder / "dataset.json", info | changes)
