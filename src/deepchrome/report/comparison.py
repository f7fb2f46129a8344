"""Experiments beside each other: the page, and what of it also compares the models of a run."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from deepchrome.evaluation import comparison as compare
from deepchrome.evaluation.comparison import Comparison, duration, p_value
from deepchrome.evaluation.experiments import Experiment
from deepchrome.figures import comparison as figures
from deepchrome.figures.text import count, interval, number, sentence
from deepchrome.params import CompareParams
from deepchrome.report.page import SIMULATED, Figure, Page, Section, Table, picture

METHOD = (
    "Both score the same test genes of every cell type. The interval of the difference is over "
    "cell types and genes (genes are shared between cell types, so what they favour by chance they "
    "favour everywhere). Models are equivalent where it lies within the margin of {margin:g} "
    "AUROC; one is better where it leaves out 0 after Holm's correction for the number of pairs; "
    "otherwise it is undecided. Differences within a cell type are tested by DeLong's method "
    "(docs/studies.md)."
)


def page(chosen: Sequence[Experiment], found: Comparison, params: CompareParams) -> Page:
    """Return the page that puts experiments beside each other."""
    info = chosen[0].dataset
    margin = params.equivalence_margin
    lead, *others = compare.summary(found, margin).splitlines()
    pairs = len(found.pairs)
    every = Section(
        "scores",
        "Which scores highest?",
        sentence(lead),
        points=[sentence(line.strip()) for line in others],
        figures=[scores_figure(found)],
        tables=[models_table(found)],
        method=[
            "A model's score is its AUROC on each cell type's test genes, the mean over seeds and "
            "cell types. Intervals: bootstrap over genes and cell types. Models share both, so "
            "overlapping intervals do not mean that models do not differ.",
        ],
    )
    words = found.pairs["verdict"].value_counts()
    differ = Section(
        "differences",
        "Which differ, and which are equivalent?",
        f"Of {count(pairs, 'pair')}: "
        + ", ".join(f"{n} {word}" for word, n in words.items())
        + f" (margin {margin:g} AUROC).",
        word=str(found.pairs["verdict"].iloc[0]) if pairs == 1 else "",
        points=[sentence(one) for one in found.pairs["sentence"]],
        figures=[differences_figure(found, margin)],
        tables=[pairs_table(found)],
        method=[
            METHOD.format(margin=margin),
            "In the table, p is of no difference (corrected); TOST: of a difference of the margin "
            "or more; Wilcoxon: signed-rank test over cell types (corrected).",
        ],
    )
    within = Section(
        "cells",
        "In which cell types do they differ?",
        in_cells(found),
        tables=[cells_table(found)],
        method=[
            "DeLong's test and 95% interval over the test genes of one cell type; p corrected by "
            "Holm's method for the number of cell types.",
        ],
    )
    return Page(
        title="DeepChrome: experiments beside each other",
        lead=found.title,
        notice=SIMULATED if info["source"] == "simulated" else "",
        facts=[
            ("Experiments", ", ".join(one.name for one in chosen)),
            ("Cell types", ", ".join(info["cells"])),
            ("Dataset", info["hash"]),
        ],
        sections=[every, differ, within],
    )


def in_cells(found: Comparison) -> str:
    """Say in how many comparisons within a cell type the two differ."""
    significant = int((found.delong["p_holm"] < compare.LEVEL).sum())
    return (
        f"In {significant:,} of {count(len(found.delong), 'comparison')} of two models within a "
        "cell type the difference is significant (corrected for the number of cell types)."
    )


def scores_figure(found: Comparison) -> Figure:
    """Draw and embed each model's score."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "auroc.png")
        figures.scores(path, found.title, found.models, found.cells)
        return picture(path, figures.scores_text(found.models))


def differences_figure(found: Comparison, margin: float) -> Figure:
    """Draw and embed the difference of every pair beside the margin."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "differences.png")
        figures.differences(path, found.title, found.pairs, margin)
        return picture(path, figures.differences_text(found.pairs))


def models_table(found: Comparison) -> Table:
    """Return the table of models, the best first."""
    timed = found.models["training_seconds"].notna().any()
    crossed = found.models["between"].notna().any()
    head = ["model", "experiment", "parameters", *(["training"] if timed else []), "AUROC"]
    head += ["95% interval", "seeds", *(["other cell types"] if crossed else [])]
    rows = [
        {
            "model": row.model,
            "experiment": row.experiment,
            "parameters": f"{row.parameters:,}",
            "training": duration(row.training_seconds).replace("-", "–"),
            "AUROC": number(row.auroc),
            "95% interval": interval(row.low, row.high),
            "seeds": f"{row.seeds}",
            "other cell types": number(row.between),
        }
        for row in found.models.itertuples()
    ]
    if all(row["experiment"] == row["model"] for row in rows):
        head.remove("experiment")
    return Table(
        "Models, the best first",
        head,
        [[row[name] for name in head] for row in rows],
        text=["model", "experiment"],
    )


def pairs_table(found: Comparison) -> Table:
    """Return the table of pairs and their tests."""
    return Table(
        "Differences of pairs, first minus second",
        [
            "first",
            "second",
            "difference",
            "95% interval",
            "p",
            "p (TOST)",
            "p (Wilcoxon)",
            "verdict",
        ],
        [
            [
                row.first,
                row.second,
                number(row.difference, 4),
                interval(row.low, row.high, 4),
                p_value(row.p_holm).lstrip("="),
                p_value(row.tost_p).lstrip("="),
                p_value(row.wilcoxon_p_holm).lstrip("="),
                row.verdict,
            ]
            for row in found.pairs.itertuples()
        ],
        text=["first", "second", "verdict"],
    )


def cells_table(found: Comparison) -> Table:
    """Return the differences within each cell type."""
    scores = found.cells.groupby(["model", "cell"])["auroc"].mean()
    many = len(found.pairs) > 1
    return Table(
        "Cell by cell: AUROC of both, and their difference",
        [
            *(["first", "second"] if many else []),
            "cell type",
            "first AUROC" if many else found.pairs["first"].iloc[0],
            "second AUROC" if many else found.pairs["second"].iloc[0],
            "difference",
            "95% interval",
            "p (DeLong)",
        ],
        [
            [
                *([row.first, row.second] if many else []),
                row.cell,
                number(scores[row.first, row.cell]),
                number(scores[row.second, row.cell]),
                number(row.difference, 4, sign=True),
                interval(row.low, row.high, 4, sign=True),
                p_value(row.p_holm).lstrip("="),
            ]
            for row in found.delong.itertuples()
        ],
        text=["first", "second", "cell type"],
    )
