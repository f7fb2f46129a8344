"""Published results beside those of a stage."""

from deepchrome.evaluation import published_results
from deepchrome.figures.published import published_text
from deepchrome.figures.text import sentence
from deepchrome.report.page import Figure
from deepchrome.report.run import Run


def published(run: Run, stage: str) -> tuple[list[Figure], list[str]]:
    """Return the figure of published results beside ours and a line on it, where there are any."""
    if not run.has(f"{stage}/published.png"):
        return [], []
    columns = "source published ours difference comparable reason"
    table = run.table(f"{stage}/published.csv", columns)
    said = sentence(f"Beside {published_results.describe(table)}")
    return run.figures({f"{stage}/published.png": lambda: published_text(table, said)}), [said]
