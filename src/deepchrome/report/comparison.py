"""Models beside each other: the two of a run, and experiments."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepchrome.evaluation import comparison as compare
from deepchrome.evaluation import experiments
from deepchrome.evaluation.comparison import Comparison, duration, p_value
from deepchrome.evaluation.experiments import Experiment, check_same_data
from deepchrome.figures import comparison as figures
from deepchrome.params import CompareParams
from deepchrome.report.page import (
    Figure,
    Page,
    Section,
    Table,
    count,
    interval,
    number,
    picture,
    sentence,
)
from deepchrome.report.run import Run
from deepchrome.report.sections import SIMULATED

QUESTION = "Does a CNN do better than a linear network?"
HOW = "Nine architectures as experiments on the same data, and two of your choice:"
COMMANDS = ("make study", "deepchrome report --compare study-deepchrome study-linear_sum")
TWO = (
    "These are the two architectures of this run: {model} is trained by stage train, {other} by "
    "stage training_sets. Other networks of either kind may do better or worse than these."
)
METHOD = (
    "Both score the same test genes of every cell type. The interval of the difference is over "
    "cell types and genes (genes are shared between cell types, so what they favour by chance they "
    "favour everywhere). Models are equivalent where it lies within the margin of {margin:g} "
    "AUROC; one is better where it leaves out 0 after Holm's correction for the number of pairs; "
    "otherwise it is undecided. Differences within a cell type are tested by DeLong's method "
    "(docs/studies.md)."
)


def of_run(run: Run, params: CompareParams) -> Section:
    """Compare the two architectures of a run: that of `train` and that of `training_sets`.

    On the test genes of each cell type, both trained on its own training genes. Where the run has
    only one, the section says how to compare.
    """
    model = run.json("models/train/model.json", "train")
    said = f"{model['model']} ({model['parameters']:,} parameters)"
    predicted = [run.root / f"predictions/{stage}.parquet" for stage in STAGES]
    both = all(run.ran(stage) for stage in STAGES) and all(path.is_file() for path in predicted)
    other = run.json("models/training_sets/model.json", "training_sets") if both else model
    if other["model"] == model["model"]:
        return Section(
            "architectures",
            QUESTION,
            f"This run alone cannot tell: it trained one architecture, {said}.",
            more=[HOW],
            commands=COMMANDS,
        )
    tables = [experiments.predicted(str(path), path.read_bytes()) for path in predicted]
    own = [
        tables[0]["train_cell"] == tables[0]["test_cell"],
        tables[1]["train_cell"] == "own",
    ]
    scores = [
        experiments.by_cell(str(path), table[(table["split"] == "test") & chosen])
        for path, table, chosen in zip(predicted, tables, own, strict=True)
    ]
    cells = [cell for cell in scores[0] if cell in scores[1]]
    trained = [
        Experiment(
            name=info["model"],
            settings={},
            protocol="tuned",
            dataset=run.data.info,
            model=info,
            scores={cell: one[cell] for cell in cells},
            between=np.nan,
            seconds=np.nan,
        )
        for info, one in zip((model, other), scores, strict=True)
    ]
    check_same_data(trained)
    found = compare.analyse(trained, between=False, params=params)
    pair = found.pairs.iloc[0]
    asked = {model["architecture"], other["architecture"]} == {"deepchrome", "linear"}
    return Section(
        "architectures",
        QUESTION if asked else f"Does {model['model']} do better than {other['model']}?",
        sentence(pair["sentence"].replace("undecided: ", "undecided, ")),
        word=pair["verdict"],
        more=[f"{TWO.format(model=model['model'], other=other['model'])} {HOW}"],
        commands=COMMANDS,
        figures=draw(found, params, ("auroc.png", "differences.png")),
        tables=[models_table(found), cells_table(found)],
        method=[
            METHOD.format(margin=params.equivalence_margin),
            "Both are trained on each cell type's own training genes, with the same seeds.",
        ],
        files=[f"predictions/{stage}.parquet" for stage in STAGES],
    )


STAGES = ("evaluate", "training_sets")
"""Whose predictions `of_run` compares."""


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
        figures=draw(found, params, ("auroc.png",)),
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
        figures=draw(found, params, ("differences.png",)),
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


def draw(found: Comparison, params: CompareParams, names: tuple[str, ...]) -> list[Figure]:
    """Draw and embed the figures of a comparison."""
    models = "; ".join(
        f"{row.model} {number(row.auroc)} ({interval(row.low, row.high)})"
        for row in found.models.itertuples()
    )
    pairs = "; ".join(
        f"{row.first} minus {row.second} {number(row.difference)} "
        f"({interval(row.low, row.high)}), {row.verdict}"
        for row in found.pairs.itertuples()
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        made = []
        if "auroc.png" in names:
            figures.scores(path / "auroc.png", found.title, found.models, found.cells)
            made.append(
                picture(
                    path / "auroc.png",
                    "Mean test AUROC with its 95% interval, a row for each model, and a circle "
                    f"for each cell type. {models}.",
                    "Mean AUROC over cell types. Bars: 95% intervals over genes and cell types; "
                    "circles: cell types.",
                )
            )
        if "differences.png" in names:
            figures.differences(
                path / "differences.png", found.title, found.pairs, params.equivalence_margin
            )
            made.append(
                picture(
                    path / "differences.png",
                    f"Differences with 95% intervals beside the margin, a row for each pair. "
                    f"{pairs}.",
                    "Paired differences. Bars: 95% intervals over cell types and genes; grey: "
                    "within the margin.",
                )
            )
    return made


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
