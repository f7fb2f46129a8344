"""How a generator is judged: whether it can be used at all, and how far it can be trusted."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch

from deepchrome.interpretation import quality
from deepchrome.interpretation.generator import Generator
from deepchrome.interpretation.network import Network, conditions, generate
from deepchrome.interpretation.quality import Rivals, Set
from deepchrome.interpretation.signals import log_signals

LEAST_DIVERSITY = 0.5
"""Of generated examples over real ones; below it the generator has collapsed."""

LARGEST_SHIFT = 1.0
"""Of a mark's mean log signal against training genes; above it the generator has diverged."""

MEASURES = {
    "separability": "AUROC of boosted trees told to separate from real; 0.5: they cannot",
    "separability_logistic": "the same by logistic regression",
    "mmd": "squared maximum mean discrepancy from real; 0: none",
    "profile_correlation": "class-mean profiles against real, mean over marks and classes, 20 cuts",
    "profile_correlation_lowest": "the same, lowest of marks and classes",
    "mark_correlation_difference": "correlations between marks against real, largest difference",
    "precision": "share within the neighbourhood of a real example",
    "recall": "share of real examples within the neighbourhood of one of these",
    "nearest_training_gene": "median distance to the nearest training gene; far below real: copied",
    "train_on_generated": "AUROC on real test genes of a classifier trained on these",
}
"""What each row of `measure`'s table says."""


def generated(network: Network, like: Set, values: str, seed: int) -> Set:
    """Generate one signal for each label and cell type of `like`. values: counts or signal."""
    condition = conditions(torch.from_numpy(like.y.astype(np.int64)), torch.from_numpy(like.cell))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return like.with_signals(generate(network, condition.to(network.profile.device), values))


def state(network: Network, train_set: Set, values: str, seed: int) -> str:
    """Return "trained", "collapsed" or "diverged", by the generator's signals beside training's."""
    rows = np.random.default_rng(seed).permutation(len(train_set.y))[:4000]
    real = train_set.rows(rows)
    made = generated(network, real, values, seed)
    x, of_real = log_signals(made.X), log_signals(real.X)
    shift = np.abs(x.mean((0, 1)) - of_real.mean((0, 1))).max()
    if not math.isfinite(shift) or shift > LARGEST_SHIFT:
        return "diverged"
    return "trained" if quality.diversity(made, real) >= LEAST_DIVERSITY else "collapsed"


def measure(
    generator: Generator,
    test: Set,
    train_set: Set,
    rivals: Rivals,
    examples: int,
    seed: int,
    advance: Callable[[], object],
) -> tuple[pd.DataFrame, tuple[Set, Set]]:
    """Compare generated signals with held-out genes, beside what `quality.compare_rivals` found.

    examples: at most so many of each are compared. advance: called after each of `quality.seeds`.
    Returns rows of measure, value (of the generator), real, independent_bins, gaussian and what;
    and the last sample: real, generated.
    """

    def make(like: Set, seed: int) -> Set:
        return generated(generator.network, like, generator.values, seed)

    found: list[dict[str, float]] = []
    for one in quality.seeds(test, examples, seed):
        real, other = quality.halves(test, examples, one)
        made = make(other, one)
        found.append(quality.compare(real, made, train_set, one))
        advance()
    profiles = quality.profiles_over_cuts(test, examples, seed, make)
    useful = quality.classifier_auroc(make(train_set, seed), test)
    mine = pd.DataFrame(found).mean().to_dict() | profiles | {"train_on_generated": useful}
    table = pd.DataFrame({"value": mine, **rivals})
    table = table.rename_axis("measure").reset_index()
    table["what"] = table["measure"].map(MEASURES)
    return table, (real, made)


def scalars(measured: pd.DataFrame) -> dict[str, Any]:
    """Return the few numbers of `measure`'s table that DVC tracks."""
    table = measured.set_index("measure")
    rivals = table[["independent_bins", "gaussian"]]
    row = table["value"]
    return {
        "separability": round(float(row["separability"]), 6),
        "separability_best_rival": round(float(rivals.loc["separability"].min()), 6),
        "profile_correlation": round(float(row["profile_correlation"]), 6),
        "profile_correlation_real": round(float(table["real"]["profile_correlation"]), 6),
        "train_on_generated_auroc": round(float(row["train_on_generated"]), 6),
        "train_on_real_auroc": round(float(table["real"]["train_on_generated"]), 6),
        "nearest_training_gene_ratio": round(
            float(row["nearest_training_gene"] / table["real"]["nearest_training_gene"]), 6
        ),
    }
