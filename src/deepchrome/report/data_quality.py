"""Whether these data can be trusted: what `validate` found."""

from deepchrome.figures.text import count
from deepchrome.report.page import Section, Table
from deepchrome.report.run import Run


def section(run: Run) -> Section:
    """Answer: Can these data be trusted? From `validate`."""
    metrics = run.metrics("validate")
    suites = run.table("validate/expectations.csv", "cell expectations warnings failures")
    failed = run.table("validate/failed.csv", "cell severity expected found to_do").fillna("")
    warnings = int(metrics["warnings"])
    verdict = f"Yes: all {metrics['expectations']:,} expectations are met."
    if warnings:
        verdict = (
            f"Yes, with {count(warnings, 'warning')}: {metrics['expectations'] - warnings:,} of "
            f"{metrics['expectations']:,} expectations are met, and none that is not met is "
            "critical."
        )
    tables = []
    if len(failed):
        tables.append(
            Table(
                "Expectations that are not met, and what that means",
                ["cell type", "expected", "found", "what to do"],
                failed[["cell", "expected", "found", "to_do"]].astype(str).to_numpy().tolist(),
                text=["cell type", "expected", "found", "what to do"],
            )
        )
    tables.append(
        Table(
            "Expectations by cell type",
            ["suite", "expectations", "warnings", "failures"],
            [
                [str(row.cell), f"{row.expectations:,}", f"{row.warnings:,}", f"{row.failures:,}"]
                for row in suites.itertuples()
            ],
            text=["suite"],
        )
    )
    return Section(
        "data-quality",
        "Can these data be trusted?",
        verdict,
        word=count(warnings, "warning") if warnings else "passed",
        tables=tables,
        links={"Data Docs: every expectation and what was found": "data_docs/index.html"},
        method=[
            "Great Expectations checks files, genes, labels, counts and profiles of every cell "
            "type, and cell types against each other. A critical failure stops the pipeline before "
            "anything is trained; a warning does not.",
            "Data Docs take their styling from the web; without a network they read as plain HTML.",
        ],
        files=["metrics/validate.json", "plots/validate/failed.csv"],
    )
