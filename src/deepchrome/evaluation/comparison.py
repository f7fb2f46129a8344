"""Which of several experiments is better, and which are as good as each other."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from deepchrome.data.dataset import origin
from deepchrome.errors import DeepChromeError, listing
from deepchrome.evaluation.experiments import CellScores, Experiment, experiment_names
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
from deepchrome.params import CompareParams

LEVEL = 0.05
"""A p-value below it is significant."""

Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]
"""Shows how far so many steps are: a context that gives what to call after each."""


def no_progress(steps: int) -> AbstractContextManager[Callable[[], None]]:
    """Show nothing."""
    return nullcontext(lambda: None)


@dataclass(frozen=True)
class Comparison:
    """Experiments compared; every AUROC is a mean over seeds.

    models: a row an experiment, the best first, with its mean AUROC and the 95% interval over genes
    and cell types. cells: AUROC by model, cell type and seed. pairs: a row a pair, the better one
    first, with difference, intervals, tests and verdict. delong: the test of each pair in each cell
    type.
    """

    title: str
    models: pd.DataFrame
    cells: pd.DataFrame
    pairs: pd.DataFrame
    delong: pd.DataFrame


@dataclass(frozen=True)
class Aurocs:
    """AUROCs of one model by cell type.

    value: shape=(cells,). resampled: shape=(resamples, cells), with resampled genes, the same for
    every model and cell type.
    """

    value: np.ndarray
    resampled: np.ndarray


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


def analyse(
    experiments: Sequence[Experiment],
    between: bool,
    params: CompareParams,
    progress: Progress = no_progress,
) -> Comparison:
    """Compute every score, interval and test.

    All experiments have the same cell types, genes and labels (`experiments.check_comparable`).
    between: their scores are those of other cell types' models. progress: over experiments and cell
    types.
    """
    by_name = dict(zip(labels(experiments), experiments, strict=True))
    scores = experiments[0].scores
    every_gene = np.concatenate([one.gene_id for one in scores.values()])
    genes = GeneBootstrap(every_gene, params.resamples)
    aurocs, cell_rows = {}, []
    with progress(len(scores) * len(by_name)) as advance:
        for name, one in by_name.items():
            aurocs[name], by_seed = score(one.scores, list(scores), genes, advance)
            cell_rows += [{"model": name, "experiment": one.name} | row for row in by_seed]
    cells = pd.DataFrame(cell_rows)
    models = model_table(by_name, aurocs, cells)
    tests = [  # the higher score comes first
        pair_tests(first, second, by_name, aurocs, params.equivalence_margin)
        for first, second in combinations(models["model"], 2)
    ]
    pairs = pd.DataFrame([pair for pair, _ in tests])
    pairs["p_holm"] = holm(pairs["p"].to_numpy())
    pairs["wilcoxon_p_holm"] = holm(pairs["wilcoxon_p"].to_numpy())
    n_genes = len(np.unique(every_gene))
    verdicts = [
        verdict(pair, len(pairs), n_genes, params.equivalence_margin) for pair in pairs.itertuples()
    ]
    pairs["verdict"], pairs["sentence"] = zip(*verdicts, strict=True)
    where = "other cell types than trained on" if between else "test genes"
    title = f"AUROC on {where}, {len(scores)} cell types, {origin(experiments[0].dataset)}"
    of_cells = pd.DataFrame([row for _, rows in tests for row in rows])
    return Comparison(title, models, cells, pairs, of_cells)


def score(
    scores: Mapping[str, CellScores],
    cells: Sequence[str],
    genes: GeneBootstrap,
    advance: Callable[[], None],
) -> tuple[Aurocs, list[dict[str, Any]]]:
    """Return the AUROCs of a model in the order of `cells`, and rows of cell, seed and auroc.

    advance: called after every cell type.
    """
    value, resampled, rows = [], [], []
    for cell in cells:
        one = scores[cell]
        by_seed = one.auroc()
        value.append(np.mean(list(by_seed.values())))
        drawn = [genes.auroc(one.gene_id, one.label, row) for row in one.score]
        resampled.append(np.mean(drawn, axis=0))
        rows += [{"cell": cell, "seed": seed, "auroc": a} for seed, a in by_seed.items()]
        advance()
    return Aurocs(np.array(value), np.stack(resampled, axis=1)), rows


def model_table(
    experiments: Mapping[str, Experiment], aurocs: Mapping[str, Aurocs], cells: pd.DataFrame
) -> pd.DataFrame:
    """Return a row for each model, the best first. experiments, aurocs: by model."""
    rows = []
    for name in sorted(experiments, key=lambda name: -aurocs[name].value.mean()):
        one = experiments[name]
        interval = two_level_bootstrap(aurocs[name].resampled)
        by_seed = cells[cells["model"] == name].groupby("seed")["auroc"].mean()
        rows.append(
            {
                "model": name,
                "experiment": one.name,
                "parameters": one.model["parameters"],
                "training_seconds": one.seconds,
                "seeds": len(by_seed),
                "auroc": aurocs[name].value.mean(),
                "low": interval.low,
                "high": interval.high,
                "seed_sd": by_seed.std(),
                "between": one.between,
            }
        )
    return pd.DataFrame(rows)


def pair_tests(
    first: str,
    second: str,
    experiments: Mapping[str, Experiment],
    aurocs: Mapping[str, Aurocs],
    margin: float,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the tests of a pair of models, and those within each cell type (DeLong's)."""
    difference = aurocs[first].value - aurocs[second].value
    resampled = aurocs[first].resampled - aurocs[second].resampled
    by_cell, both = over_cells(difference), over_cells_and_genes(difference, resampled)
    bootstrap = two_level_bootstrap(resampled)
    cells = experiments[first].scores
    within = [
        delong(scores.label, scores.score, experiments[second].scores[cell].score)
        for cell, scores in cells.items()
    ]
    adjusted = holm(np.array([one.p for one in within]))
    significant = [one.value for one, p in zip(within, adjusted, strict=True) if p < LEVEL]
    pair = {
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
        "tost_p": both.equivalence_p(margin),
        "tost_cells_p": by_cell.equivalence_p(margin),
        "delong_higher": sum(value > 0 for value in significant),
        "delong_lower": sum(value < 0 for value in significant),
    }
    rows = [
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
    return pair, rows


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


def smallest_possible_wilcoxon(found: Comparison) -> float:
    """Return the smallest p-value that Wilcoxon's test can give here, by Holm's method."""
    n_cells, n_pairs = int(found.pairs["n_cells"].iloc[0]), len(found.pairs)
    return min(1.0, smallest_wilcoxon(n_cells) * n_pairs)


def duration(seconds: float) -> str:
    """Write a training time; "-" where it is not known."""
    if np.isnan(seconds):
        return "-"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
