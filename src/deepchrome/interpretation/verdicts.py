"""What is said, in words, of generated signals and of what the models look for."""

from typing import Any

import numpy as np
import pandas as pd

from deepchrome import MARKS
from deepchrome.interpretation.histone_code import sentence
from deepchrome.interpretation.quality import Set

LEAST_DIFFERENCE = np.log(1.15)
"""Of the log of mean signals of high and of low genes, to be worth a word."""


def difference_of_labels(real: Set, made: Set) -> str:
    """Say which marks high genes have more and less of than low ones, generated and real."""
    ratios = {}
    for kind, one in (("made", made), ("real", real)):
        mean = [one.X[one.y == label].mean((0, 1), dtype=np.float64) for label in (1, 0)]
        ratios[kind] = mean[0] / np.maximum(mean[1], 1e-9)
    parts: dict[str, list[str]] = {"more": [], "less": []}
    for m in np.argsort(-np.abs(np.log(np.maximum(ratios["made"], 1e-9)))):
        made_ratio, real_ratio = ratios["made"][m], ratios["real"][m]
        if abs(np.log(max(made_ratio, 1e-9))) > LEAST_DIFFERENCE:
            side = "more" if made_ratio > 1 else "less"
            parts[side].append(f"{MARKS[m]} ({made_ratio:.1f} times; held-out {real_ratio:.1f})")
    told = [f"{side} {', '.join(marks)}" for side, marks in parts.items() if marks]
    what = "; and ".join(told) if told else "about as much of every mark"
    return f"High genes, as generated, have {what} than low ones."


def trust(measured: pd.DataFrame) -> str:
    """Say in a few sentences how far generated signals can be trusted.

    measured: as `generator_quality.measure` returns it.
    """
    table = measured.set_index("measure")
    value, real = table["value"], table["real"]
    rival = table.loc["separability", ["independent_bins", "gaussian"]].min()
    apart = float(value["separability"])
    alike = (
        "are hard to tell from real ones"
        if apart < 0.65
        else "resemble real ones, but trees tell many apart"
        if apart < 0.85
        else "are easily told from real ones and should not be trusted"
    )
    ratio = value["nearest_training_gene"] / real["nearest_training_gene"]
    copies = "does not copy" if ratio > 0.8 else "stays suspiciously close to"
    return (
        f"Generated signals {alike}: boosted trees separate them with AUROC {apart:.3f} (the "
        f"better of two rivals {rival:.3f}, real against real {real['separability']:.3f}). "
        f"Their class-mean profiles correlate with those of held-out genes by "
        f"{value['profile_correlation']:.3f} (real against real {real['profile_correlation']:.3f}),"
        f" and a classifier trained on them reaches AUROC {value['train_on_generated']:.3f} on "
        f"real test genes (trained on real ones {real['train_on_generated']:.3f}). The generator "
        f"{copies} training genes: its examples lie {ratio:.2f} times as far from the nearest one "
        "as held-out genes do."
    )


def failed(state: str) -> str:
    """Say what a generator that has collapsed or diverged is good for, and what to try."""
    return (
        f"The generator has {state}: its signals mean nothing and are not drawn. Try a "
        "lower gan.learning_rate, another gan.seed or more gan.steps."
    )


def looks_for(
    model: str,
    cells: int,
    source: str,
    positions: bool,
    marks: pd.DataFrame,
    maps: pd.DataFrame,
    summary: dict[str, Any],
) -> str:
    """Say in three sentences what the models look for and how far to trust it.

    model: the architecture's name in params.yaml. cells: how many cell types. source: of the data,
    in words. positions: whether the model knows where a signal lies. marks: as
    `histone_code.marks_table` returns it. maps: the tables of `Optima`. summary: as
    `summary.summarise` returns it.
    """
    methods = int(marks["methods"].max())
    counted = {
        3: "Attribution, occlusion and linear weights",
        4: "Attribution, occlusion, linear weights and the generator's signals",
    }[methods]
    stable = (
        f"effects correlate {summary['stability']:.2f} between {summary['stability_over']}"
        + (" (one seed was trained)" if summary["stability_over"] == "cell types" else "")
        if summary["stability"] is not None
        else "with one model nothing can be said of stability"
    )
    error = max(summary["completeness_error"], 0.001)
    redrawn = summary["redrawn_correlation"]
    destroyed = "destroy them" if abs(redrawn) < 0.2 else "do not destroy them, so beware"
    text = (
        f"What {model} looks for in {cells} cell type{'s' * (cells > 1)} of "
        f"{source}: {sentence(marks, positions)}. {counted} agree on the direction of "
        f"{summary['marks_agreeing']} of {len(marks)} marks; attributions sum to the difference in "
        f"log-odds within {error:.1%}, {stable}, and re-drawn weights {destroyed} (rank "
        f"correlation {redrawn:+.2f}). "
    )
    by_method = maps.groupby(["method", "class"]).mean(numeric_only=True)
    free = by_method.loc[("unconstrained", "high")]
    text += (
        f"Optimised freely, a signal with {free['reads']:.0%} of the reads of high genes and a "
        f"likeness of r = {free['likeness']:.2f} to their mean is called high with log-odds "
        f"{free['log_odds']:+.1f}"
    )
    if ("generator", "high") in by_method.index:
        made = by_method.loc[("generator", "high")]
        text += (
            f"; among the generator's signals the best has {made['reads']:.0%} of the reads, "
            f"r = {made['likeness']:.2f} and {made['log_odds']:+.1f}"
        )
    return text + "."
