"""Scores made up for tests: of genes with labels, and of cell types by each other's models."""

import numpy as np
from hypothesis import strategies as st

from deepchrome.evaluation.cross_cell import ABSENT, CrossCellScores

# few distinct scores, so that ties are common
examples = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=60).map(
    lambda rows: (np.array([r[0] for r in rows]), np.array([r[1] for r in rows]) / 4)
)
both_classes = examples.filter(lambda pair: 0 < pair[0].sum() < len(pair[0]))

DEMO = ["E003", "E016", "E057", "E066", "E071", "E095", "E116", "E123"]


def random_scores(n=4, genes=120, seeds=2, *, own=0.0, seed=0, lacking=10) -> CrossCellScores:
    """Cell types whose own models see the gene more clearly by `own`; some genes are absent."""
    rng = np.random.default_rng(seed)
    level = rng.normal(size=genes) + 0.7 * rng.normal(size=(n, genes))
    label = (level > np.median(level, axis=1, keepdims=True)).astype(np.int8)
    clear = 1 + own * np.eye(n)
    log_odds = clear[..., None] * level[None, None] + rng.normal(size=(seeds, n, n, genes))
    for cell in range(n):
        absent = rng.choice(genes, lacking, replace=False)
        label[cell, absent] = ABSENT
        log_odds[:, :, cell, absent] = np.nan
    return CrossCellScores(DEMO[:n], label, log_odds.astype(np.float32), level + 3)
