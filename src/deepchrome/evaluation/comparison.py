"""compare: which of several experiments is better, and which are as good as each other.

Reads DVC experiments where they lie; the workspace stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from deepchrome.console import console, progress
from deepchrome.data.dataset import origin
from deepchrome.errors import DeepChromeError, listing
from deepchrome.evaluation.experiments import Experiment, check_same_data, experiment_names, read
from deepchrome.evaluation.metrics import GeneBootstrap
from deepchrome.evaluation.statistics import (
    delong,
    holm,
    over_cells,
    over_cells_and_genes,
    smallest_wilcoxon,
    two_level_bootstrap,
    wilcoxon,
)
from deepchrome.figures import comparison as figures
from deepchrome.files import replacing
from deepchrome.params import CompareParams

LEVEL = 0.05
FILES = (
    "models.csv",
    "cells.csv",
    "pairs.csv",
    "delong.csv",
    "verdicts.txt",
    "auroc.png",
    "differences.png",
)


@dataclass(frozen=True)
class Comparison:
    """Everything that `compare` prints, draws and writes."""

    title: str
    models: pd.DataFrame
    cells: pd.DataFrame
    pairs: pd.DataFrame
    delong: pd.DataFrame


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
    names = choose(names, everything)
    experiments = [read(name, between) for name in names]
    check_same_data(experiments)
    found = analyse(experiments, between, params)
    write(found, Path(output), params)
    report(found, params)
    console.print(f"\n{output}: figures (auroc.png, differences.png) and tables")


def choose(names: Sequence[str], everything: bool) -> list[str]:
    """Return what to compare, without repeats; at least two."""
    chosen = list(dict.fromkeys([*names, *(experiment_names() if everything else [])]))
    if len(chosen) < 2:
        raise DeepChromeError(
            f"found {len(chosen)} to compare ({listing(chosen) or 'none'}), expected at least two: "
            "names of experiments, git revisions or 'workspace'. Experiments of this commit: "
            f"{listing(experiment_names(), 20) or 'none yet'}"
        )
    return chosen


def labels(experiments: Sequence[Experiment]) -> list[str]:
    """Return what to call each: its model where that tells them apart, otherwise its name."""
    models = [
        one.model["model"] + (" (paper)" if one.protocol == "paper" else "") for one in experiments
    ]
    return models if len(set(models)) == len(models) else [one.name for one in experiments]


def analyse(experiments: Sequence[Experiment], between: bool, params: CompareParams) -> Comparison:
    """Compute every score, interval and test.

    All experiments have the same cell types, genes and labels (`check_same_data`).
    """
    names = labels(experiments)
    by_name = dict(zip(names, experiments, strict=True))
    cells = list(experiments[0].scores)
    value = {name: np.empty(len(cells)) for name in names}
    resampled = {name: np.empty((params.resamples, len(cells))) for name in names}
    every_gene = np.concatenate([one.gene_id for one in experiments[0].scores.values()])
    genes = GeneBootstrap(every_gene, params.resamples)
    cell_rows = []
    with progress("compare", "cell types", len(cells) * len(names)) as advance:
        for name, one in by_name.items():
            for i, cell in enumerate(cells):
                scores = one.scores[cell]
                by_seed = scores.auroc()
                value[name][i] = np.mean(list(by_seed.values()))
                resampled[name][:, i] = np.mean(
                    [genes.auroc(scores.gene_id, scores.label, row) for row in scores.score], axis=0
                )
                cell_rows += [
                    {"model": name, "experiment": one.name, "cell": cell, "seed": seed, "auroc": a}
                    for seed, a in by_seed.items()
                ]
                advance()
    per_cell = pd.DataFrame(cell_rows)
    model_rows = []
    for name in sorted(names, key=lambda name: -value[name].mean()):
        one = by_name[name]
        interval = two_level_bootstrap(resampled[name])
        by_seed = per_cell[per_cell["model"] == name].groupby("seed")["auroc"].mean()
        model_rows.append(
            {
                "model": name,
                "experiment": one.name,
                "parameters": one.model["parameters"],
                "training_seconds": one.seconds,
                "seeds": len(by_seed),
                "auroc": value[name].mean(),
                "low": interval.low,
                "high": interval.high,
                "seed_sd": by_seed.std(),
                "between": one.between,
            }
        )
    models = pd.DataFrame(model_rows)
    pair_rows, delong_rows = [], []
    for first, second in combinations(models["model"], 2):  # the higher score comes first
        difference = value[first] - value[second]
        of_genes = resampled[first] - resampled[second]
        by_cell, both = over_cells(difference), over_cells_and_genes(difference, of_genes)
        bootstrap = two_level_bootstrap(of_genes)
        within = [
            delong(
                by_name[first].scores[cell].label,
                by_name[first].scores[cell].score,
                by_name[second].scores[cell].score,
            )
            for cell in cells
        ]
        adjusted = holm(np.array([one.p for one in within]))
        delong_rows += [
            {
                "first": first,
                "second": second,
                "cell": cell,
                "difference": one.value,
                "low": one.low,
                "high": one.high,
                "p": one.p,
                "p_holm": p,
            }
            for cell, one, p in zip(cells, within, adjusted, strict=True)
        ]
        significant = [one.value for one, p in zip(within, adjusted, strict=True) if p < LEVEL]
        pair_rows.append(
            {
                "first": first,
                "second": second,
                "n_cells": len(cells),
                "difference": by_cell.value,
                "low": both.low,
                "high": both.high,
                "p": both.p,
                "cells_low": by_cell.low,
                "cells_high": by_cell.high,
                "bootstrap_low": bootstrap.low,
                "bootstrap_high": bootstrap.high,
                "wilcoxon_p": wilcoxon(difference),
                "tost_p": both.equivalence_p(params.equivalence_margin),
                "tost_cells_p": by_cell.equivalence_p(params.equivalence_margin),
                "delong_higher": sum(value > 0 for value in significant),
                "delong_lower": sum(value < 0 for value in significant),
            }
        )
    pairs = pd.DataFrame(pair_rows)
    pairs["p_holm"] = holm(pairs["p"].to_numpy())
    pairs["wilcoxon_p_holm"] = holm(pairs["wilcoxon_p"].to_numpy())
    n_genes = len(np.unique(every_gene))
    verdicts = [
        verdict(pair, len(pairs), n_genes, params.equivalence_margin) for pair in pairs.itertuples()
    ]
    pairs["verdict"], pairs["sentence"] = zip(*verdicts, strict=True)
    where = "other cell types than trained on" if between else "test genes"
    info = experiments[0].dataset
    title = f"AUROC on {where}, {len(cells)} cell types, {origin(info)}"
    return Comparison(title, models, per_cell, pairs, pd.DataFrame(delong_rows))


def verdict(pair: Any, n_pairs: int, n_genes: int, margin: float) -> tuple[str, str]:
    """Return a word (equivalent, better, undecided) and a sentence on a row of the pairs.

    What decides is the 95% interval of the difference over cell types and genes, which is at least
    as wide as that over cell types alone (`statistics.over_cells_and_genes`); how often it errs is
    in docs/studies.md.

    1. The interval lies within the margin: equivalent. This is TOST at 2.5% a side. Where the
       difference is significant as well (rule 2), the sentence says so, but the word stays: a
       difference can be real and too small to matter.
    2. Otherwise, the interval excludes 0 and its p-value, corrected by Holm's method for all pairs,
       is below 5%: better.
    3. Otherwise undecided.

    Wilcoxon's and DeLong's tests stand beside and do not decide: with few cell types and many pairs
    the former cannot become significant whatever the data; the latter takes the cell types as given
    and counts those in which the two differ.
    """
    first, second, n = pair.first, pair.second, pair.n_cells
    digits = 3 if pair.high - pair.low >= 0.002 else 4
    difference = number(pair.difference, digits)
    interval = f"95% CI {number(pair.low, digits)} to {number(pair.high, digits)}"
    p = f"p{p_value(pair.p_holm)}" + (f" corrected for {n_pairs} pairs" if n_pairs > 1 else "")
    on = f"on {n} cell type{'s' if n > 1 else ''}"
    significant = pair.p_holm < LEVEL and pair.low > 0
    if -margin < pair.low and pair.high < margin:
        sentence = f"{first} and {second} are equivalent within {margin:g} AUROC {on}"
        if significant:
            sentence += f", though {first} scores {difference} higher ({interval}, {p})"
        else:
            sentence += f" (difference {difference}, {interval})"
        return "equivalent", sentence
    if significant:
        return "better", (
            f"{first} is better than {second} {on} (difference {difference} AUROC, {interval}, {p})"
        )
    found = f"{first} and {second}: undecided"
    if n == 1:
        return "undecided", (
            f"{found}: n too small (difference {difference} AUROC on 1 cell type, which says "
            "nothing of others)"
        )
    if pair.low > 0:
        return "undecided", (
            f"{found}: the difference of {difference} AUROC {on} ({interval}) may be chance ({p})"
        )
    return "undecided", (
        f"{found}: n too small (difference {difference} AUROC, {interval}, {n} cell types, "
        f"{n_genes:,} test genes)"
    )


def number(value: float, digits: int = 3) -> str:
    """Write a number without a minus before zero; "-" where it is not defined."""
    if value == 0:
        return "0"
    return f"{round(value, digits) + 0.0:.{digits}f}" if np.isfinite(value) else "-"


def p_value(p: float) -> str:
    """Write a p-value: "=0.03", "<0.001"."""
    return "<0.001" if p < 0.001 else f"={p:.2g}"


def summary(found: Comparison, margin: float) -> str:
    """Say in a few lines how every model stands to the one that scores highest."""
    best = found.models.iloc[0]
    pairs = found.pairs[found.pairs["first"] == best["model"]]
    lines = [
        f"{best['model']} scores highest: {number(best['auroc'])} "
        f"(95% interval {number(best['low'])} to {number(best['high'])})"
    ]
    for word, text in (
        ("equivalent", f"equivalent to it within {margin:g}"),
        ("better", "lower"),
        ("undecided", "undecided"),
    ):
        named = pairs.loc[pairs["verdict"] == word, "second"]
        if len(named):
            lines.append(f"  {text}: {', '.join(named)}")
    return "\n".join(lines)


def write(found: Comparison, output: Path, params: CompareParams) -> None:
    """Write tables, verdicts and figures into `output`, beside what else lies there."""
    with replacing(*(output / name for name in FILES)) as paths:
        path = dict(zip(FILES, paths, strict=True))
        for name in ("models", "cells", "pairs", "delong"):
            table: pd.DataFrame = getattr(found, name)
            table = table.replace([np.inf, -np.inf], np.nan)
            table.to_csv(path[f"{name}.csv"], index=False, float_format="%.6g")
        sentences = "\n".join(found.pairs["sentence"])
        path["verdicts.txt"].write_text(
            f"{found.title}\n\n{summary(found, params.equivalence_margin)}\n\n{sentences}\n",
            encoding="utf-8",
        )
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
    smallest = min(1.0, smallest_wilcoxon(n_cells) * n_pairs)
    if smallest >= LEVEL:
        console.print(
            f"With {n_cells} cell types and {n_pairs} pairs Wilcoxon's p is {smallest:.2g} or more "
            "whatever the data."
        )
    console.print()
    for sentence in found.pairs["sentence"]:
        console.print(sentence)
    console.print(f"\n{summary(found, params.equivalence_margin)}")


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


def duration(seconds: float) -> str:
    """Write a training time; "-" where it is not known."""
    if np.isnan(seconds):
        return "-"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
