"""Is the relation of chromatin to expression the same in every cell type? What the matrix says.

Arrays in, numbers and a verdict out (docs/cross_cell.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from deepchrome.data import reference
from deepchrome.evaluation import cross_cell
from deepchrome.evaluation.cross_cell import CrossCellScores
from deepchrome.evaluation.decomposition import decomposition, effects
from deepchrome.evaluation.estimate import Estimate
from deepchrome.evaluation.lineages import Clusters, clusters, gap_by_lineage


@dataclass(frozen=True)
class Findings:
    """All that is said of the matrix; empty or None what needs more cell types, or a whole matrix.

    estimates: by name: those of `cross_cell.matrices`, within, between, gap, gap_genes (its
    interval is over genes alone), shuffled. cells: a row a cell type. pairs: a row a pair, trained
    on and tested on. lineage: gap to cell types of the same and of other lineages, and the
    difference.
    """

    estimates: dict[str, Estimate]
    cells: pd.DataFrame
    pairs: pd.DataFrame
    decomposition: pd.DataFrame
    lineage: pd.DataFrame
    clusters: Clusters | None

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return every table behind the verdict by name, those that are not empty."""
        controls = pd.DataFrame(
            [
                {"statistic": name, "auroc": one.value, "low": one.low, "high": one.high}
                for name, one in self.estimates.items()
            ]
        )
        found = {
            "controls": controls,
            "cells": self.cells,
            "pairs": self.pairs,
            "decomposition": self.decomposition,
            "lineage": self.lineage,
        }
        if self.clusters:
            found["clusters"] = pd.DataFrame(
                {
                    "clusters": [self.clusters.cluster.max()],
                    "adjusted_rand": [self.clusters.adjusted_rand],
                    "p": [self.clusters.p],
                }
            )
        return {name: table for name, table in found.items() if len(table)}


def find(
    scores: CrossCellScores, agreement: pd.DataFrame, advance: Callable[[], None] = lambda: None
) -> Findings:
    """Compute everything of two cell types or more.

    agreement: cells x cells, the share of genes with the same label.
    """
    cells, n = scores.cells, len(scores.cells)
    found = cross_cell.matrices(scores, advance)
    matrix, drawn = found["all"], cross_cell.draw_cells(n)
    estimates = {
        "within": cross_cell.estimate(cross_cell.within, matrix, drawn),
        "between": cross_cell.estimate(cross_cell.between, matrix, drawn),
        "gap": cross_cell.estimate(cross_cell.gap, matrix, drawn),
        "gap_genes": cross_cell.estimate(cross_cell.gap, matrix, None),
        "no_chromatin": cross_cell.estimate(cross_cell.within, found["no_chromatin"], drawn),
        "shuffled": cross_cell.shuffled(scores),
    }
    of_pairs = [name for name in found if name not in ("all", "no_chromatin")]
    estimates |= {
        name: cross_cell.estimate(cross_cell.between, found[name], drawn) for name in of_pairs
    }

    lineage = reference.lineages(cells)
    related = lineage[:, None] == lineage
    trained, tested = (at.ravel() for at in np.indices((n, n)))
    pairs = pd.DataFrame(
        {
            "train_cell": np.array(cells)[trained],
            "test_cell": np.array(cells)[tested],
            "same_lineage": related.ravel(),
            "label_agreement": agreement.loc[cells, cells].to_numpy().ravel(),
            "auroc": matrix.value.ravel(),
            "loss": cross_cell.losses(matrix.value).ravel(),
            "switching_genes": [
                scores.switching(int(a), int(b)).sum() for a, b in zip(trained, tested, strict=True)
            ],
        }
        | {name: found[name].value.ravel() for name in of_pairs}
    )
    by_cell = pd.DataFrame(
        {
            "cell": cells,
            "lineage": lineage,
            "own_auroc": np.diagonal(matrix.value),
            "no_chromatin": np.diagonal(found["no_chromatin"].value),
            "averaged_cells": _averaged(scores),
        }
    )
    if n < 3 or np.isnan(matrix.value).any():
        nothing = pd.DataFrame()
        return Findings(estimates, by_cell, pairs[trained != tested], nothing, nothing, None)

    fit, resampled = effects(matrix.value), effects(matrix.resampled)
    for name in ("rows", "columns", "own"):
        value, half = getattr(fit, name), 1.96 * np.nanstd(getattr(resampled, name), axis=0)
        by_cell[name], by_cell[f"{name}_low"], by_cell[f"{name}_high"] = (
            value,
            value - half,
            value + half,
        )
    pairs["residual"] = fit.residual.ravel()
    clustered = clusters(cross_cell.losses(matrix.value), lineage) if n > 3 else None
    if clustered:
        by_cell["cluster"] = clustered.cluster
    return Findings(
        estimates,
        by_cell,
        pairs[trained != tested],
        decomposition(matrix),
        gap_by_lineage(matrix, drawn, related),
        clustered,
    )


def _averaged(scores: CrossCellScores) -> list[int]:
    """Return how many other cell types the no-chromatin baseline of each averages."""
    known = (~np.isnan(scores.expression)).any(axis=1)
    return [int(known.sum() - known[i]) for i in range(len(known))]


@dataclass(frozen=True)
class Verdict:
    """`word`, and the sentences that say why."""

    word: Literal["same", "differs", "undecided"]
    text: str


def verdict(findings: Findings, margin: float) -> Verdict:
    """Say whether the relation is the same in every cell type, by the 95% intervals of the gap.

    same: the interval over genes and cell types lies below `margin`, and one model's scores tell
    in which of two cell types a gene is high (the interval of `difference` lies above 0.5), so that
    it is chromatin that carries over. differs: the interval over genes alone lies above the margin:
    it takes no more than these cell types to show that not all are alike. undecided: neither.
    """
    found, n = findings.estimates, len(findings.cells)
    gap, alone, difference = found["gap"], found["gap_genes"], found["difference"]
    if np.isnan(gap.value):
        text = "Undecided: a cell type's test genes are all high or all low, so it has no AUROC."
        return Verdict("undecided", text)
    if n < 3:
        interval = f"95% CI over genes {_range(alone)}"
    else:
        interval = f"95% CI over genes and cell types {_range(gap)}, over genes {_range(alone)}"
    loses = (
        f"a model from another cell type loses {gap.value:z.3f} AUROC against the cell type's own "
        f"({found['between'].value:.3f} against {found['within'].value:.3f}; {interval}; margin "
        f"{margin:g})."
    )
    word: Literal["same", "differs", "undecided"] = "undecided"
    first = f"Undecided whether the relation is the same in the {n} cell types: {loses} "
    if alone.low > margin:
        word = "differs"
        first = f"The relation differs between these {n} cell types: {loses}"
    elif not gap.high < margin:
        first += "The interval reaches across the margin."
    elif not difference.low > 0.5:
        first += (
            "That is little, but the gene alone may explain it: on genes whose label differs, "
            "scores do not clearly tell in which cell type it is high."
        )
    else:
        word = "same"
        first = f"The relation is the same in all {n} cell types as far as these data tell: {loses}"
    return Verdict(word, " ".join([first, *_controls(findings)]))


def summary(
    matrix: pd.DataFrame, findings: Findings | None, verdict: Verdict | None
) -> dict[str, Any]:
    """Return the numbers that are followed over runs; None what is not defined.

    matrix: train_cell, test_cell, auroc. findings, verdict: None for a single cell type, which
    has nothing to be compared with.
    """
    own = matrix["train_cell"] == matrix["test_cell"]
    within, between = (matrix.loc[which, "auroc"].mean() for which in (own, ~own))
    of_pairs = dict.fromkeys(("gap", "no_chromatin", "switching", "difference", "shuffled"), _NONE)
    found = of_pairs if findings is None else findings.estimates
    gap = found["gap"]
    return {
        "within_mean": _rounded(within),
        "between_mean": _rounded(between),
        "gap": _rounded(gap.value),
        "gap_ci95": None if findings is None else [_rounded(gap.low), _rounded(gap.high)],
        "no_chromatin_auroc": _rounded(found["no_chromatin"].value),
        "switching_auroc": _rounded(found["switching"].value),
        "switching_difference_auroc": _rounded(found["difference"].value),
        "shuffled_auroc": _rounded(found["shuffled"].value),
        "verdict": None if verdict is None else verdict.word,
    }


_NONE = Estimate(np.nan, np.nan, np.nan)


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def _controls(findings: Findings) -> list[str]:
    """Say what the controls show, a sentence each."""
    found = findings.estimates
    said = []
    genes = findings.pairs["switching_genes"]
    if np.isnan(found["switching"].value):
        said.append("No control on genes whose label differs: there are too few.")
    else:
        said.append(
            f"On genes whose label differs between the two ({genes.mean():,.0f} test genes a "
            f"pair) it scores {_shown(found['switching'])}, the cell type's own model "
            f"{found['switching_own'].value:.3f}; the difference of its scores tells in which of "
            f"the two the gene is high with AUROC {_shown(found['difference'])}."
        )
    if np.isnan(found["no_chromatin"].value):
        said.append("No control without chromatin: expression (RPKM) is not known.")
    else:
        averaged = findings.cells["averaged_cells"].max()
        others = "the other cell type" if averaged == 1 else f"{averaged} other cell types"
        there = found["switching_no_chromatin"].value
        said.append(
            f"Without any chromatin, the gene's mean expression in {others} scores "
            f"{_shown(found['no_chromatin'])} on all test genes"
            + ("." if np.isnan(there) else f" but {there:.3f} on those whose label differs.")
        )
    return [*said, f"Shuffled labels give {found['shuffled'].value:.3f}."]


def _shown(one: Estimate) -> str:
    return f"{one.value:.3f} (95% CI {_range(one)})"


def _range(one: Estimate) -> str:
    return f"{one.low:z.3f} to {one.high:z.3f}"
