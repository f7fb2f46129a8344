"""What is expected of a dataset, stated for Great Expectations.

A check is stated on a small table that is derived from the dataset: a row per gene, per cell type,
or one row for a whole file, so that it is quick and its result names genes and cell types. Broken
facts are critical (bins, counts, splits, labels against RPKM, copied signals). What rests on
statistics or may be intended is a warning (profiles around the TSS, scale, swapped cell types).
`data.measures` computes what the tables hold; `data.suites` checks what is stated here.
"""

from dataclasses import dataclass

import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.expectations.metadata_types import FailureSeverity

from deepchrome import MARKS
from deepchrome.data.severities import SEVERITIES

CRITICAL, WARNING = FailureSeverity.CRITICAL, FailureSeverity.WARNING

REMAKE = "Make the dataset again with 'dvc repro ingest'."


@dataclass(frozen=True)
class TableExpectations:
    """What is expected of one table; `index` is the column that names a row to the user."""

    table: pd.DataFrame
    expectations: list[gxe.Expectation]
    index: str | None = None


_KEYS = {
    "highest": "max_count",
    "label label_by_rpkm": "label_rule",
    "share_high": "class_balance",
    "distinct counts": "constant_mark",
    "common factor": "common_factor",
    "H3K4me3 at the TSS": "h3k4me3_at_tss",
    "H3K36me3 at the TSS": "h3k36me3_at_tss",
    "H3K4me1 with H3K4me3": "h3k4me1_with_h3k4me3",
    "label AUROC": "label_auroc",
    "H3K36me3 downstream, plus strand": "downstream",
    "H3K36me3 downstream, minus strand": "downstream",
    "no mark has a value": "chromosome_zero",
    "a mark has no value": "mark_chromosome_zero",
    "no value": "gene_zero",
    "distinct counts of all": "mark_missing",
}
"""By column, where the key is another word."""


def key_of(expectation: gxe.Expectation) -> str | None:
    """Return the key in `severities.SEVERITIES` of an expectation; None for a fact."""
    names = [getattr(expectation, name, None) for name in ("column", "column_A", "column_B")]
    column = " ".join(name for name in names if name)
    bare = column.split(" ", 1)[1] if column.split(" ")[0] in MARKS and " " in column else column
    key = _KEYS.get(column) or _KEYS.get(bare, bare)
    return key if key in SEVERITIES else None


def within(
    column: str,
    low: float | None,
    high: float | None,
    severity: FailureSeverity,
    description: str,
    todo: str,
) -> gxe.Expectation:
    """Expect each value to lie between two bounds; a null (not measurable) passes."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=low,
        max_value=high,
        severity=severity,
        description=description,
        notes=todo,
    )


def absent(
    column: str,
    severity: FailureSeverity,
    description: str,
    todo: str,
    mostly: float = 1.0,
) -> gxe.Expectation:
    """Expect a column that names faults to be null throughout, or in this share of rows."""
    return gxe.ExpectColumnValuesToBeNull(
        column=column, severity=severity, description=description, notes=todo, mostly=mostly
    )


def present(column: str, description: str, todo: str) -> gxe.Expectation:
    """Expect a column without null."""
    return gxe.ExpectColumnValuesToNotBeNull(
        column=column, severity=CRITICAL, description=description, notes=todo
    )
