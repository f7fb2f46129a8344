"""report: the page that a person opens after a run, and one that puts experiments beside."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from deepchrome.console import console, progress
from deepchrome.evaluation import comparison as compare
from deepchrome.evaluation.experiments import check_comparable, read
from deepchrome.files import File, refuse, replacing
from deepchrome.outputs import Output, path_of
from deepchrome.params import CompareParams
from deepchrome.report import comparison, overview
from deepchrome.report.page import Page, render
from deepchrome.report.run import Run

COMPARING = partial(progress, "compare", "cell types")
"""The bar of a comparison."""

PAGE = b'<meta name="generator" content="DeepChrome">'
"""By which a page is known again."""


def run(params: CompareParams, root: str = ".", output: str = "reports/index.html") -> None:
    """Write the page of the run whose files lie below `root`.

    It has a section for every stage that ran on the present dataset; the same files give the same
    page. Raises DeepChromeError where a file of such a stage is missing or damaged.
    """
    write(overview.page(Run(root), params, COMPARING), Path(root, output))


def run_comparison(names: Sequence[str], params: CompareParams, output: str | Path) -> None:
    """Write a page that compares experiments, git revisions or "workspace"; nothing else changes.

    Raises DeepChromeError where they cannot be compared.
    """
    written = File(Path(output), "report --compare", PAGE)
    refuse(written)
    experiments = [read(name, between=False) for name in compare.choose(names, everything=False)]
    check_comparable(experiments)
    found = compare.analyse(experiments, between=False, params=params, progress=COMPARING)
    write(comparison.page(experiments, found, params), written)


def write(page: Page, output: Output) -> None:
    """Write a page and say what is on it."""
    text = render(page)
    with replacing(output) as (out,):
        out.write_text(text, encoding="utf-8")
    n = sum(len(section.figures) + len(section.animations) for section in page.sections)
    console.print(
        f"{path_of(output)}: {len(page.sections)} sections, {n} figures, {len(text) / 2**20:.1f} MB"
    )
    for reason in page.absent:
        console.print(f"  left out: {reason}")
