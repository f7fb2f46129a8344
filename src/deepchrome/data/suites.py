"""Great Expectations' suites: checked, counted, and shown as Data Docs."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.metadata_types import FailureSeverity

from deepchrome.data import data_docs
from deepchrome.data.expectations import TableExpectations, key_of


@dataclass(frozen=True)
class Outcome:
    """What came of one expectation of the suite of `cell`."""

    cell: str
    description: str
    todo: str
    severity: str
    success: bool
    raised: bool
    found: str

    @property
    def failure(self) -> bool:
        """Whether it stops the pipeline: a critical one not met, or any that raised."""
        return not self.success and (self.raised or self.severity == "critical")

    @property
    def warning(self) -> bool:
        """Whether it is worth a warning."""
        return not self.success and not self.failure

    def message(self) -> str:
        """Say what was expected, what was found and what to do."""
        return f"{self.cell}: expected: {self.description}; found: {self.found}. {self.todo}"


class Suites:
    """Great Expectations' suites as they are filled and checked, one per name.

    A suite of Great Expectations speaks of one table. Here it speaks of several, which are checked
    one after the other, and their results put together.
    """

    def __init__(self, title: str, severities: Mapping[str, str] | None = None) -> None:
        """severities: by key of an expectation, another severity than its own, or "off"."""
        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        self._title = title
        self._severities = severities or {}
        self._context = gx.get_context(mode="ephemeral")
        self._context.enable_analytics(False)
        self._context.variables.progress_bars = ProgressBarsConfig(
            globally=False, metric_calculations=False
        )
        tables = self._context.data_sources.add_pandas("dataset").add_dataframe_asset("tables")
        self._rows = tables.add_batch_definition_whole_dataframe("all rows")
        self._results: dict[str, list[Any]] = {}
        self.outcomes: list[Outcome] = []

    def check(self, suite: str, stated: TableExpectations) -> bool:
        """Check the expectations of one table and add them to a suite.

        Returns whether none has failed critically.
        """
        batch = self._rows.get_batch({"dataframe": stated.table})
        result_format: dict[str, Any] = {"result_format": "SUMMARY", "partial_unexpected_count": 5}
        if stated.index is not None:
            result_format["unexpected_index_column_names"] = [stated.index]
        expectations = []
        for one in stated.expectations:
            severity = self._severities.get(key_of(one) or "", one.severity)
            if severity != "off":
                one.severity = FailureSeverity(severity)
                expectations.append(one)
        if not expectations:
            return True
        results = batch.validate(
            gx.ExpectationSuite(suite, expectations=expectations),
            result_format=result_format,
        ).results
        outcomes = [_outcome(suite, result, stated) for result in results]
        self.add(suite, results, outcomes)
        return not any(outcome.failure for outcome in outcomes)

    def add(self, suite: str, results: list[Any], outcomes: list[Outcome]) -> None:
        """Add Great Expectations' results, and what came of them, to a suite."""
        self._results.setdefault(suite, []).extend(results)
        self.outcomes += outcomes

    def results(self, suite: str) -> list[Any]:
        """Return Great Expectations' results of a suite."""
        return self._results[suite]

    def counts(self, names: list[str]) -> pd.DataFrame:
        """Return expectations, warnings and failures of each suite."""
        rows = []
        for name in names:
            own = [outcome for outcome in self.outcomes if outcome.cell == name]
            rows.append(
                {
                    "cell": name,
                    "expectations": len(own),
                    "warnings": sum(outcome.warning for outcome in own),
                    "failures": sum(outcome.failure for outcome in own),
                }
            )
        return pd.DataFrame(rows)

    def failed(self) -> pd.DataFrame:
        """Return every expectation that was not met."""
        return pd.DataFrame(
            [
                (outcome.cell, outcome.severity, outcome.description, outcome.found, outcome.todo)
                for outcome in self.outcomes
                if not outcome.success
            ],
            columns=["cell", "severity", "expected", "found", "to_do"],
        )

    def build_docs(self, folder: Path) -> None:
        """Write Data Docs: a page for each suite and for its results, and an index."""
        failed = {outcome.cell for outcome in self.outcomes if outcome.failure}
        suites = {name: (own, name not in failed) for name, own in self._results.items()}
        data_docs.build(self._context, self._title, suites, folder)


def _outcome(suite: str, result: Any, stated: TableExpectations) -> Outcome:
    config = result.expectation_config
    raised = _raised(result.exception_info)
    return Outcome(
        cell=suite,
        description=config.description,
        todo=config.notes,
        severity=str(config.severity.value),
        success=bool(result.success),
        raised=raised is not None,
        found=raised or _found(result.result, stated.index),
    )


def _raised(info: Mapping[str, Any]) -> str | None:
    """Return the message of an exception inside an expectation, if there was one."""
    for each in (info, *info.values()):  # per expectation or per metric
        if isinstance(each, Mapping) and each.get("raised_exception"):
            return f"it could not be computed ({each['exception_message']})"
    return None


def _found(result: Mapping[str, Any], index: str | None) -> str:
    """Say what an expectation found: the rows that break it, or the value observed."""
    rows = result.get("partial_unexpected_index_list") or []
    if "unexpected_count" not in result:
        observed = result.get("observed_value")
        if isinstance(observed, list):
            return ", ".join(map(str, observed)) or "none"
        return f"{observed:.3g}" if isinstance(observed, float) else str(observed)
    values = result.get("partial_unexpected_list") or []
    if rows and index is not None:
        shown = [_named(row[index], value) for row, value in zip(rows, values, strict=False)]
        unit = {"gene_id": "genes", "cell": "cell types", "chrom": "chromosomes"}.get(index, index)
        n, total = result["unexpected_count"], result["element_count"]
        more = f" and {n - len(shown):,} more" if n > len(shown) else ""
        share = f" ({n / total:.0%})" if n >= 0.01 * total else ""
        return f"not so in {n:,} of {total:,} {unit}{share}: {', '.join(shown)}{more}"
    return ", ".join(map(str, values)) or f"{result['unexpected_count']:,} rows"


def _named(name: Any, value: Any) -> str:
    """Return a row's name with the value that breaks an expectation."""
    if pd.api.types.is_scalar(value) and (pd.isna(value) or value == name):
        return str(name)
    if isinstance(value, tuple):  # of two columns that should be equal
        return f"{name} ({value[0]:g}, not {value[1]:g})"
    return f"{name} ({value:g})" if isinstance(value, float) else f"{name} ({value})"
