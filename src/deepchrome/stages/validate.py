"""validate: check the dataset with Great Expectations; a critical failure stops the pipeline."""

import logging
import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
import pyarrow as pa
from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)

from deepchrome import N_BINS
from deepchrome.console import console, progress, warn
from deepchrome.data import expectations
from deepchrome.data.dataset import Dataset
from deepchrome.data.expectations import Measured, Stated
from deepchrome.errors import DeepChromeError
from deepchrome.files import remove, replacing, write_json
from deepchrome.params import ValidateParams
from deepchrome.training.executor import cores

ALL = "all cell types"
"""The suite across cell types."""

_PARALLEL_FROM = 16  # cell types; for fewer, starting processes takes longer


def run(
    params: ValidateParams,
    dataset: str = "data/dataset",
    metrics: str = "metrics/validate.json",
    plots: str = "plots/validate",
    data_docs: str = "reports/data_docs",
) -> None:
    """Check the dataset, write what was found and build Great Expectations' Data Docs.

    Warnings are printed. Raises DeepChromeError that names every critical failure; then the
    outputs are as they were, and the Data Docs of the failed run lie in `failed_data_docs` beside
    `data_docs`.
    """
    data = Dataset(dataset)
    suites = Suites(dataset)
    try:
        check(data, params, suites)
    except (OSError, pa.ArrowException) as error:
        raise DeepChromeError(
            f"{dataset}: a file cannot be read ({error}); "
            "make the dataset again with 'dvc repro ingest'"
        ) from error
    failed_docs = Path(data_docs).parent / "failed_data_docs"
    failures = [outcome for outcome in suites.outcomes if outcome.failure]
    if failures:
        with replacing(failed_docs) as (docs_out,):
            suites.build_docs(docs_out)
        raise DeepChromeError(
            f"{dataset} breaks {len(failures)} expectations:\n"
            + "\n".join(f"  {outcome.message()}" for outcome in failures)
            + f"\nDetails: {failed_docs / 'index.html'}"
        )
    with replacing(metrics, plots, data_docs) as (metrics_out, plots_out, docs_out):
        suites.build_docs(docs_out)
        plots_out.mkdir()
        suites.counts([*data.cells, ALL]).to_csv(plots_out / "expectations.csv", index=False)
        suites.failed().to_csv(plots_out / "failed.csv", index=False)
        write_json(
            metrics_out,
            {
                "dataset": data.hash,
                "expectations": len(suites.outcomes),
                "warnings": sum(outcome.warning for outcome in suites.outcomes),
                "failures": 0,
            },
        )
    remove(failed_docs)
    warned = [outcome for outcome in suites.outcomes if outcome.warning]
    for outcome in warned:
        warn(outcome.message())
    console.print(
        f"{dataset}: {len(suites.outcomes):,} expectations, {len(warned)} warnings, 0 failures; "
        f"see {data_docs}/index.html"
    )


def check(data: Dataset, params: ValidateParams, suites: "Suites") -> None:
    """Check every cell type and then all together.

    What presumes that files have the right form is checked only where they do.
    """
    genes_path, labels_path = data.path / "genes.parquet", data.path / "labels.parquet"
    tables = (
        (genes_path, expectations.GENES_COLUMNS),
        (labels_path, expectations.LABELS_COLUMNS),
    )
    sound = [suites.check(ALL, expectations.form_stated(path, form)) for path, form in tables]
    if not all(sound):
        return
    sound = [
        suites.check(ALL, expectations.gene_table_stated(data.genes.reset_index())),
        suites.check(ALL, expectations.label_table_stated(data.labels, data.cells)),
    ]
    if not all(sound):
        return
    measured = []
    with progress("validate", "cell types", len(data.cells)) as advance:
        for cell, result in _check_cells(data, params, suites):
            if result is not None:
                measured.append(result)
            advance(note=cell)
    if measured:
        suites.check(ALL, expectations.comparison_stated(measured))


def _check_cells(
    data: Dataset, params: ValidateParams, suites: "Suites"
) -> Iterator[tuple[str, Measured | None]]:
    """Check every cell type, many of them in several processes; yield each with its measures."""
    labels = dict(iter(data.labels.groupby("cell")))
    if len(data.cells) < _PARALLEL_FROM or cores() == 1:
        for cell in data.cells:
            yield cell, check_cell(data, cell, labels[cell], params, suites)
        return
    # spawn: a forked child may inherit a lock that a thread of Arrow holds
    context = multiprocessing.get_context("spawn")
    workers = min(cores(), len(data.cells))
    start = _start_worker, (data.path, params)
    with ProcessPoolExecutor(workers, context, *start) as pool:
        jobs = pool.map(_check_in_worker, data.cells, [labels[cell] for cell in data.cells])
        for cell, (measured, results, outcomes) in zip(data.cells, jobs, strict=True):
            suites.add(cell, results, outcomes)
            yield cell, measured


_worker: tuple[Dataset, ValidateParams]


def _start_worker(path: Path, params: ValidateParams) -> None:
    global _worker
    _worker = Dataset(path), params


def _check_in_worker(
    cell: str, labels: pd.DataFrame
) -> tuple[Measured | None, list[Any], list["Outcome"]]:
    data, params = _worker
    suites = Suites(str(data.path))
    measured = check_cell(data, cell, labels, params, suites)
    return measured, suites.results(cell), suites.outcomes


def check_cell(
    data: Dataset, cell: str, labels: pd.DataFrame, params: ValidateParams, suites: "Suites"
) -> Measured | None:
    """Check one cell type; return its measures, or None where its form is broken.

    labels: the cell type's rows of labels.parquet.
    """
    path = data.signals_path(cell)
    columns = expectations.SIGNALS_COLUMNS[data.info["values"]]
    if not suites.check(cell, expectations.form_stated(path, columns)):
        return None
    signals = expectations.read_signals(path)
    median = data.info["rpkm_median"][cell]
    rows = expectations.gene_rows(signals.genes, labels, data.genes, median)
    if not suites.check(cell, expectations.genes_stated(rows, data.info["labels"], params)):
        return None
    gene_id = signals.genes["gene_id"].to_numpy()
    y = labels.set_index("gene_id")["label"].loc[gene_id].to_numpy()
    X = signals.X.reshape(len(gene_id), N_BINS, -1)
    measured = expectations.measure(cell, gene_id, X, y)
    strand = data.genes["strand"].loc[gene_id].to_numpy(object)
    suites.check(cell, expectations.copies_stated(measured, data.genes))
    suites.check(
        cell,
        expectations.profile_stated(measured, strand, X, data.info["orientation"], params),
    )
    return measured


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

    def __init__(self, title: str) -> None:
        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        self._title = title
        self._context = gx.get_context(mode="ephemeral")
        self._context.enable_analytics(False)
        self._context.variables.progress_bars = ProgressBarsConfig(
            globally=False, metric_calculations=False
        )
        tables = self._context.data_sources.add_pandas("dataset").add_dataframe_asset("tables")
        self._rows = tables.add_batch_definition_whole_dataframe("all rows")
        self._results: dict[str, list[Any]] = {}
        self.outcomes: list[Outcome] = []

    def check(self, suite: str, stated: Stated) -> bool:
        """Check the expectations of one table and add them to a suite.

        Returns whether none has failed critically.
        """
        batch = self._rows.get_batch({"dataframe": stated.table})
        result_format: dict[str, Any] = {"result_format": "SUMMARY", "partial_unexpected_count": 5}
        if stated.index is not None:
            result_format["unexpected_index_column_names"] = [stated.index]
        results = batch.validate(
            gx.ExpectationSuite(suite, expectations=stated.expectations),
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
        run_id = RunIdentifier(run_name="validate", run_time=datetime.now(UTC))
        for name, results in self._results.items():
            for result in results:  # Data Docs show neither severity nor notes on a page of results
                config = result.expectation_config
                config.description = (
                    f"{config.severity.value}: {config.description}. If not: {config.notes}"
                )
            suite = gx.ExpectationSuite(name)
            suite.expectations = [result.expectation_config.to_domain_obj() for result in results]
            self._context.suites.add(suite)
            met = sum(result.success for result in results)
            own = [outcome for outcome in self.outcomes if outcome.cell == name]
            self._context.validation_results_store.store_validation_results(
                ExpectationSuiteValidationResult(
                    success=not any(outcome.failure for outcome in own),
                    results=results,
                    suite_name=name,
                    statistics={
                        "evaluated_expectations": len(results),
                        "successful_expectations": met,
                        "unsuccessful_expectations": len(results) - met,
                        "success_percent": 100 * met / len(results),
                    },
                    meta={
                        "great_expectations_version": gx.__version__,
                        "batch_spec": {"data_asset_name": self._title},
                        "run_id": run_id,
                        "validation_time": run_id.run_time,
                    },
                ),
                ValidationResultIdentifier(
                    expectation_suite_identifier=ExpectationSuiteIdentifier(name=name),
                    run_id=run_id,
                    batch_identifier="dataset",
                ),
            )
        self._context.add_data_docs_site(
            site_name="data_docs",
            site_config={
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,  # type: ignore[typeddict-unknown-key]
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": str(folder.resolve()),
                },
            },
        )
        self._context.build_data_docs(site_names=["data_docs"])


def _outcome(suite: str, result: Any, stated: Stated) -> Outcome:
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
        unit = {"gene_id": "genes", "cell": "cell types"}.get(index, index)
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
