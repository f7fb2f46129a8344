"""What was found of all cell types, put side by side: effects, mean maps and the few numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from deepchrome.interpretation.explanation import Explanation
from deepchrome.interpretation.histone_code import CLASSES, Effects
from deepchrome.interpretation.optima import Optima


def effects_of(explanations: Sequence[Explanation], optima: Sequence[Optima]) -> Effects:
    """Put the effects of all models side by side."""
    generated = [one.generated for one in optima if one.generated is not None]
    return Effects(
        profile=np.concatenate([one.profile for one in explanations]),
        attribution=np.concatenate([one.total for one in explanations]),
        occlusion=np.concatenate([one.occlusion for one in explanations]),
        auroc_lost=np.concatenate([one.auroc_lost for one in explanations]),
        linear=np.concatenate([one.linear for one in explanations]),
        generator=np.stack(generated) if generated else None,
        genes=np.stack([one.genes for one in optima]),
    )


def mean_maps(optima: Sequence[Optima]) -> dict[str, dict[str, np.ndarray]]:
    """Average the maps, by method and class, over the cell types that have them."""
    methods = dict.fromkeys(method for one in optima for method in one.maps)
    return {
        method: {
            label: np.mean(
                [one.maps[method][label] for one in optima if method in one.maps], axis=0
            )
            for label in CLASSES
        }
        for method in methods
    }


def mean_attention(
    explanations: Sequence[Explanation],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]] | None:
    """Average attention over cell types: of bins, shape=(bins, marks), and of marks, by class.

    None where the models have none.
    """
    attended = [one.attention for one in explanations if one.attention is not None]
    if not attended:
        return None
    bins, marks = (
        {label: np.mean([one[label][part] for one in attended], axis=0) for label in CLASSES}
        for part in (0, 1)
    )
    return bins, marks


def summarise(
    explanations: Sequence[Explanation],
    marks: pd.DataFrame,
    pairs: pd.DataFrame,
    maps: pd.DataFrame,
) -> dict[str, Any]:
    """Return the few numbers that DVC tracks.

    marks, pairs: as `histone_code.marks_table` and `correlations` return them. maps: the tables of
    the cell types' `Optima`.
    """
    stability, over = None, None
    for between in ("seeds", "cell types"):
        mine = pairs.loc[pairs["between"] == between, "correlation"]
        if over is None and len(mine):
            stability, over = _rounded(mine.mean()), between
    by_method = maps.groupby("method")[["likeness", "reads"]].mean()

    def of(method: str, column: str) -> float | None:
        return _rounded(by_method[column].get(method, np.nan))

    return {
        "marks_agreeing": int((marks["agree"] == marks["methods"]).sum()),
        "completeness_error": _rounded(np.mean([one.error for one in explanations])),
        "redrawn_correlation": _rounded(np.nanmean([one.redrawn for one in explanations])),
        "stability": stability,
        "stability_over": over,
        "likeness_unconstrained": of("unconstrained", "likeness"),
        "likeness_generator": of("generator", "likeness"),
        "reads_unconstrained": of("unconstrained", "reads"),
        "reads_generator": of("generator", "reads"),
    }


def _rounded(value: Any) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
