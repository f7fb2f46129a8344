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

CRITICAL, WARNING = FailureSeverity.CRITICAL, FailureSeverity.WARNING

REMAKE = "Make the dataset again with 'dvc repro ingest'."


@dataclass(frozen=True)
class TableExpectations:
    """What is expected of one table; `index` is the column that names a row to the user."""

    table: pd.DataFrame
    expectations: list[gxe.Expectation]
    index: str | None = None


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


def absent(column: str, severity: FailureSeverity, description: str, todo: str) -> gxe.Expectation:
    """Expect a column that names faults to be null throughout."""
    return gxe.ExpectColumnValuesToBeNull(
        column=column, severity=severity, description=description, notes=todo
    )


def present(column: str, description: str, todo: str) -> gxe.Expectation:
    """Expect a column without null."""
    return gxe.ExpectColumnValuesToNotBeNull(
        column=column, severity=CRITICAL, description=description, notes=todo
    )
