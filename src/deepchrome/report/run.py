"""What the stages of a run have left, read and checked."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from deepchrome.data.dataset import Dataset
from deepchrome.errors import DeepChromeError
from deepchrome.figures.text import Text, interval, plain, sentence, spoken
from deepchrome.files import read_json
from deepchrome.report.page import Figure, picture

CELL_COLUMNS = ("cell", "train_cell", "test_cell")
"""Columns that hold names of cell types."""


class Run:
    """The files of one run, below `root`. Raises DeepChromeError where there is no dataset."""

    def __init__(self, root: str | Path = "."):
        self.root = Path(root)
        self.data = Dataset(self.root / "data/dataset")
        self._absent: dict[str, str] = {}

    @property
    def absent(self) -> list[str]:
        """Which stages are not on the page, and why."""
        return list(self._absent.values())

    def json(self, name: str, stage: str) -> dict[str, Any]:
        """Read a JSON file that `stage` writes."""
        return read_json(self.root / name, f"run 'dvc repro {stage}'")

    def metrics(self, stage: str) -> dict[str, Any]:
        """Read the numbers of a stage."""
        return self.json(f"metrics/{stage}.json", stage)

    def table(self, name: str, columns: str) -> pd.DataFrame:
        """Read a CSV of plots/<stage>; columns: those that it must have, separated by spaces."""
        path = self.root / "plots" / name
        stage = Path(name).parts[0]
        try:
            # a cell type may be called 293
            table = pd.read_csv(path, converters=dict.fromkeys(CELL_COLUMNS, str))
        except FileNotFoundError:
            raise DeepChromeError(f"{path}: no such file; run 'dvc repro {stage}'") from None
        except (ValueError, UnicodeDecodeError) as error:  # pandas' errors of parsing are such
            raise DeepChromeError(f"{path}: not a CSV ({error}); run 'dvc repro {stage}'") from None
        lacking = [name for name in columns.split() if name not in table.columns]
        if lacking:
            raise DeepChromeError(
                f"{path}: no column {', '.join(lacking)} (found {', '.join(table.columns)}); "
                f"run 'dvc repro {stage}'"
            )
        return table

    def has(self, name: str) -> bool:
        """Whether a file of plots/<stage> is there."""
        return (self.root / "plots" / name).is_file()

    def verdict(self, stage: str) -> tuple[str, list[str]]:
        """Read what a stage has found: the first sentence, and the rest as a paragraph.

        Both empty where it wrote no verdict.
        """
        path = self.root / "plots" / stage / "verdict.txt"
        text = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        if not text:
            return "", []
        split = re.split(r"(?<=[.!?])\s+(?=[A-Z\"'(])", " ".join(text.split()))
        first, *rest = map(sentence, split)
        return first, [" ".join(rest)] if rest else []

    def ran(self, stage: str) -> bool:
        """Whether a stage has run on this dataset; if not, `absent` says why."""
        reason = self._why_not(stage)
        if reason:
            self._absent[stage] = f"{stage}: {reason}"
        return not reason

    def _why_not(self, stage: str) -> str:
        if not (self.root / f"metrics/{stage}.json").is_file():
            return f"has not run (no metrics/{stage}.json)"
        found = self.metrics(stage)["dataset"]
        if found != self.data.hash:
            return f"its results are of other data (dataset {found}); run 'dvc repro {stage}'"
        if not (self.root / "plots" / stage).is_dir():
            return f"plots/{stage} is not here; run 'dvc repro {stage}' or 'dvc checkout'"
        return ""

    def figures(self, wanted: Mapping[str, Callable[[], Text]]) -> list[Figure]:
        """Embed those figures that are there. wanted: by name below plots, their words."""
        return [
            picture(self.root / "plots" / name, text())
            for name, text in wanted.items()
            if self.has(name)
        ]


def numbers(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers of a stage by name; an interval stands behind its value."""
    found = []
    for key, value in metrics.items():
        if key in ("dataset", "verdict") or key.endswith("_ci95"):
            continue
        text = plain(value)
        if metrics.get(f"{key}_ci95"):
            text += f" (95% interval {interval(*metrics[f'{key}_ci95'])})"
        found.append((spoken(key), text))
    return found
