"""compare: tells which of several experiments is better, and which are equivalent.

Reads DVC experiments where they lie; the workspace stays as it is.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from deepchrome.console import console, progress
from deepchrome.evaluation import comparison
from deepchrome.evaluation.comparison import Comparison, duration, number, p_value
from deepchrome.evaluation.experiments import check_comparable, read
from deepchrome.figures import comparison as figures
from deepchrome.figures.style import SOURCE
from deepchrome.files import File, refuse, replacing
from deepchrome.params import CompareParams

FILES = {
    "models.csv": b"model,experiment,parameters,",
    "cells.csv": b"model,experiment,cell,seed,",
    "pairs.csv": b"first,second,n_cells,",
    "delong.csv": b"first,second,cell,difference,",
    "verdicts.txt": b"AUROC on ",
    "auroc.png": SOURCE.encode(),
    "differences.png": SOURCE.encode(),
}
"""What is written, and how each begins."""


def run(
    names: Sequence[str],
    everything: bool,
    between: bool,
    params: CompareParams,
    output: str | Path,
) -> None:
    """Compare experiments: print tables and verdicts, write them and figures into `output`.

    names: experiments, git revisions, "workspace". everything: add all experiments of the current
    commit. between: compare scores on other cell types than a model was trained on.
    Raises DeepChromeError where an experiment has no results, or where they were run on different
    data, genes or cell types.
    """
    refuse(*outputs(Path(output)))
    names = comparison.choose(names, everything)
    experiments = [read(name, between) for name in names]
    check_comparable(experiments)
    watched = partial(progress, "compare", "cell types")
    found = comparison.analyse(experiments, between, params, watched)
    write(found, Path(output), params)
    report(found, params)
    console.print(f"\n{output}: figures (auroc.png, differences.png) and tables")


def outputs(folder: Path) -> list[File]:
    """Return the files that are written into a folder, beside what else lies there."""
    return [File(folder / name, "compare", mark) for name, mark in FILES.items()]


def write(found: Comparison, output: Path, params: CompareParams) -> None:
    """Write tables, verdicts and figures into `output`, beside what else lies there."""
    with replacing(*outputs(output)) as paths:
        path = dict(zip(FILES, paths, strict=True))
        for name in ("models", "cells", "pairs", "delong"):
            table: pd.DataFrame = getattr(found, name)
            table = table.replace([np.inf, -np.inf], np.nan)
            table.to_csv(path[f"{name}.csv"], index=False, float_format="%.6g")
        said = comparison.summary(found, params.equivalence_margin)
        sentences = "\n".join(found.pairs["sentence"])
        text = f"{found.title}\n\n{said}\n\n{sentences}\n"
        path["verdicts.txt"].write_text(text, encoding="utf-8")
        figures.scores(path["auroc.png"], found.title, found.models, found.cells)
        figures.differences(
            path["differences.png"], found.title, found.pairs, params.equivalence_margin
        )


def report(found: Comparison, params: CompareParams) -> None:
    """Print the models, the tests of every pair and the verdicts."""
    console.print(models_table(found))
    console.print(pairs_table(found, params.equivalence_margin))
    n_cells, n_pairs = int(found.pairs["n_cells"].iloc[0]), len(found.pairs)
    console.print(
        "± cells: 95% interval over cell types; ± genes: over cell types and genes.\n"
        "TOST: p of a difference of the margin or more. Wilcoxon: p by Holm's method. DeLong: in\n"
        f"how many of {n_cells} cell types the first : the second is higher (p < 0.05 by Holm's "
        "method)."
    )
    smallest = comparison.smallest_possible_wilcoxon(found)
    if smallest >= comparison.LEVEL:
        console.print(
            f"With {n_cells} cell types and {n_pairs} pairs Wilcoxon's p is {smallest:.2g} or more "
            "whatever the data."
        )
    console.print()
    for sentence in found.pairs["sentence"]:
        console.print(sentence)
    console.print(f"\n{comparison.summary(found, params.equivalence_margin)}")


def models_table(found: Comparison) -> Table:
    """Return the table of models, the best first."""
    told = all(row.model in row.experiment for row in found.models.itertuples())
    many = found.models["seeds"].max() > 1
    columns = ["model", *([] if told else ["experiment"]), "parameters", "training", "AUROC"]
    columns += ["95% interval", *(["seeds", "sd"] if many else []), "between"]
    table = _table(found.title, columns)
    for row in found.models.itertuples():
        values = {
            "model": row.model,
            "experiment": row.experiment,
            "parameters": f"{row.parameters:,}",
            "training": duration(row.training_seconds),
            "AUROC": number(row.auroc),
            "95% interval": f"{number(row.low)}–{number(row.high)}",
            "seeds": str(row.seeds),
            "sd": number(row.seed_sd),
            "between": number(row.between),
        }
        table.add_row(*(values[column] for column in columns))
    return table


def pairs_table(found: Comparison, margin: float) -> Table:
    """Return the table of pairs and their tests."""
    columns = ["first\nsecond", "diff.", "± cells", "± genes", "TOST", "Wilcoxon", "DeLong"]
    table = _table(f"Differences (margin {margin:g})", [*columns, "verdict"])
    for row in found.pairs.itertuples():
        table.add_row(
            f"{row.first}\n{row.second}",
            number(row.difference),
            number(row.cells_high - row.difference),
            number(row.high - row.difference),
            p_value(row.tost_p).lstrip("="),
            p_value(row.wilcoxon_p_holm).lstrip("="),
            f"{row.delong_higher}:{row.delong_lower}",
            row.verdict,
        )
    return table


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    for column in columns:
        text = column.startswith(("model", "experiment", "first", "verdict"))
        table.add_column(column, justify="left" if text else "right", no_wrap=True)
    return table
