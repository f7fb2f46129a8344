"""Great Expectations' Data Docs: the same pages for the same results, and text as text."""

import logging
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import great_expectations as gx
from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
from great_expectations.data_context import EphemeralDataContext
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)

_RUN = RunIdentifier(run_name="validate", run_time=datetime(1970, 1, 1, tzinfo=UTC))
"""Great Expectations wants the time of a run, with which no two runs would give equal pages."""

_TIME = re.compile(r"(1969-12-31|1970-01-01)[T ]\d\d:\d\d:\d\d(Z| [\w+-]+)")  # local time too
_AGE = re.compile(r"\?d=\d{8}T\d{6}\.\d+Z")
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_MARKUP = str.maketrans("<>", "‹›")
_LINK = re.compile(r"\]([(:\[])")  # of Markdown, which some text is taken for
_QUOTES = str.maketrans("\"'`/\\", "″′′∕∖")


def build(
    context: EphemeralDataContext,
    title: str,
    suites: dict[str, tuple[list[Any], bool]],
    folder: Path,
) -> None:
    """Write a page for each suite and for its results, and an index.

    title: what was checked. suites: by name, Great Expectations' results, which are changed here,
    and whether all is well. The pages hold no time of the run. Great Expectations escapes some of
    what it prints and not the rest, so angle brackets in text become `‹` and `›`, and in names
    quotes too: a name that is markup stays a name.
    """
    for name, (results, success) in suites.items():
        _add(context, _text(title), _name(name), results, success)
    context.add_data_docs_site(
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
    builder = logging.getLogger("great_expectations.render.renderer.site_builder")
    raising = _Raising()
    builder.addFilter(raising)
    try:
        context.build_data_docs(site_names=["data_docs"])
    finally:
        builder.removeFilter(raising)
    for page in folder.rglob("*.html"):
        page.write_text(_timeless(page.read_text(encoding="utf-8")), encoding="utf-8")


def _add(
    context: EphemeralDataContext, title: str, name: str, results: list[Any], success: bool
) -> None:
    """Add one suite and its results to what the pages are made of."""
    for result in results:  # Data Docs show neither severity nor notes on a page of results
        config = result.expectation_config
        config.kwargs = _text(config.kwargs)
        severity = config.severity.value
        config.description = _text(f"{severity}: {config.description}. If not: {config.notes}")
        config.notes = _text(config.notes)
        result.result = _text(result.result)
        result.exception_info = _text(result.exception_info)
    suite = gx.ExpectationSuite(name)
    suite.expectations = [result.expectation_config.to_domain_obj() for result in results]
    context.suites.add(suite)
    met = sum(result.success for result in results)
    context.validation_results_store.store_validation_results(
        ExpectationSuiteValidationResult(
            success=success,
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
                "batch_spec": {"data_asset_name": title},
                "run_id": _RUN,
                "validation_time": _RUN.run_time,
            },
        ),
        ValidationResultIdentifier(
            expectation_suite_identifier=ExpectationSuiteIdentifier(name=name),
            run_id=_RUN,
            batch_identifier="dataset",
        ),
    )


class _Raising(logging.Filter):
    """Raises what Great Expectations logs when a page fails; it would go on without the page."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]
        if error:
            raise error
        return True


def _text(value: Any) -> Any:
    """Return text, or what holds text, without markup."""
    if isinstance(value, str):
        return _LINK.sub(r"] \1", value.translate(_MARKUP))
    if isinstance(value, dict):
        return {_text(key): _text(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_text(one) for one in value)
    return value


def _name(suite: str) -> str:
    """Return a suite's name as it names files and pages: without markup, quotes and paths."""
    return re.sub(r"^\.|\.\.", "‥", str(_text(suite)).translate(_QUOTES))


def _timeless(page: str) -> str:
    """Return a page without times, its random ids numbered as they come."""
    numbers: dict[str, str] = {}
    page = _AGE.sub("", _TIME.sub("not kept", page))
    return _ID.sub(lambda found: numbers.setdefault(found[0], f"id{len(numbers)}"), page)
