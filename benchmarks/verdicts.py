"""How often 'deepchrome compare' errs: two models that are equally good in truth, simulated.

Prints how often the 95% interval of their difference leaves out 0, which should be 5%, for several
numbers of cell types and sources of chance. Genes: noise of a model and gene that is the same in
every cell type. Cell types: a model does better in some than in others. Neither: only noise of each
gene in each cell type, which the others have as well. 1,000 repeats take some 10 minutes.

The verdict 'equivalent' errs half as often at most: where the true difference is the margin, the
interval has to miss it on one of its two sides.
"""

import argparse

import numpy as np
from rich.table import Table

from deepchrome.console import console, progress
from deepchrome.evaluation.metrics import GeneBootstrap, auroc
from deepchrome.evaluation.statistics import over_cells, over_cells_and_genes, two_level_bootstrap

GENES, RESAMPLES = 300, 300
NOISE = {  # of a gene in all cell types, of a cell type (log), of a gene in one cell type
    "genes": (0.9, 0.0, 0.3),
    "cell types": (0.0, 0.25, 0.3),
    "both": (0.6, 0.12, 0.3),
    "neither": (0.0, 0.0, 0.9),
}


def difference(
    rng: np.random.Generator, n_cells: int, noise: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate one study of two models.

    Returns their AUROC's difference in each cell type, shape=(cells,), and with resampled genes,
    shape=(resamples, cells).
    """
    of_gene, of_cell, of_both = noise
    expression = rng.normal(size=GENES) + 0.5 * rng.normal(size=(n_cells, GENES))
    label = expression > np.median(expression, axis=1, keepdims=True)
    genes = np.arange(GENES)
    bootstrap = GeneBootstrap(genes, RESAMPLES, int(rng.integers(2**31)))
    values, resampled = [], []
    for _ in range(2):
        shared = of_gene * rng.normal(size=GENES)
        error = shared + (0.3 + of_both) * rng.normal(size=(n_cells, GENES))
        score = expression + error * np.exp(of_cell * rng.normal(size=(n_cells, 1)))
        cells = list(zip(label, score, strict=True))
        values.append(np.array([auroc(*one) for one in cells]))
        resampled.append(np.stack([bootstrap.auroc(genes, *one) for one in cells], axis=1))
    return values[0] - values[1], resampled[0] - resampled[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--cells", type=int, nargs="*", default=[3, 8, 20])
    args = parser.parse_args()
    error = np.sqrt(0.05 * 0.95 / args.repeats)
    table = Table(
        title=f"false findings in {args.repeats} repeats (standard error {error:.1%})",
        title_justify="left",
    )
    columns = ("cell types", "chance of", "over cells", "cells and genes", "bootstrap")
    for name in columns:
        table.add_column(name, justify="left" if name == "chance of" else "right")
    total = len(args.cells) * len(NOISE) * args.repeats
    with progress("simulate", "studies", total) as advance:
        for n_cells in args.cells:
            for row, (name, noise) in enumerate(NOISE.items()):
                rng = np.random.default_rng([n_cells, row])  # whatever else is simulated
                wrong = np.zeros(3)
                for _ in range(args.repeats):
                    values, resampled = difference(rng, n_cells, noise)
                    cells, both = over_cells(values), over_cells_and_genes(values, resampled)
                    bootstrap = two_level_bootstrap(resampled)
                    wrong += [
                        cells.p < 0.05,
                        both.p < 0.05,
                        not bootstrap.low <= 0 <= bootstrap.high,
                    ]
                    advance()
                shares = [f"{share:.1%}" for share in wrong / args.repeats]
                table.add_row(str(n_cells), name, *shares)
    console.print(table)


if __name__ == "__main__":
    main()
