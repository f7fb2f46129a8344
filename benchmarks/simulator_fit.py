"""How well the simulator holds: simulated beside real counts of the same genes."""

from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome import MARKS, N_BINS, files
from deepchrome.data.sources.expression import read_rpkm
from deepchrome.simulation import simulator
from deepchrome.simulation.calibration import RealCell, read_cells, simulate_like
from deepchrome.simulation.simulator import Statistics

_COLUMNS = (
    *("cell", "measure", "mark", "genes", "real", "simulated"),
    *("difference", "ceiling", "bound", "holds"),
)

_FLAT_BELOW = 0.8
"""Ceiling of a profile's correlation below which its shape is mostly noise, so RMSE is compared."""


def compare(
    raw: str | Path,
    expression: str | Path,
    statistics: Statistics | None = None,
    *,
    splits: int = 50,
    seeds: int = 5,
    trees: bool = True,
) -> pd.DataFrame:
    """Measure simulated beside real counts of the same genes.

    Each measure stands beside its ceiling: the same measure between random halves of the real
    genes, median over `splits`. Simulated values are means over `seeds`. `trees`: also train
    boosted trees and logistic regression to tell real from simulated (needs scikit-learn).

    Returns a row a measure: cell, measure, mark, genes (all, low or high expression), real,
    simulated, difference (or correlation), ceiling, bound, holds (null where no bound is set).
    """
    statistics = statistics or simulator.load_statistics()
    rows: list[dict] = []
    for cell in read_cells(Path(raw), read_rpkm(Path(expression))):
        rng = np.random.default_rng(0)
        halves = [np.array_split(rng.permutation(len(cell.gene_id)), 2) for _ in range(splits)]
        # seeds that `tune` has not seen
        simulated = [simulate_like(cell, 1000 + seed, statistics) for seed in range(seeds)]
        found = [
            *_compare_profiles(cell, simulated, halves),
            *_compare_levels(cell, simulated, halves),
            *_compare_correlations(cell, simulated, halves),
        ]
        if trees:
            found += _compare_by_classifier(cell, simulated, halves)
        rows += [{"cell": cell.cell, **row} for row in found]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


_Halves = list[list[np.ndarray]]


def _compare_profiles(cell: RealCell, simulated: list[np.ndarray], halves: _Halves) -> list[dict]:
    def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.array([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(len(MARKS))])

    def relative_rmse(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(((a - b) ** 2).mean(axis=0)) / real.mean(axis=0)

    rows = []
    for name, of in (("low", ~cell.high), ("high", cell.high)):
        real = cell.X[of].mean(axis=0)
        ours = [X[of].mean(axis=0) for X in simulated]
        pairs = [[cell.X[half[of[half]]].mean(axis=0) for half in both] for both in halves]
        ceiling = np.median([correlation(*pair) for pair in pairs], axis=0)
        noise = np.median([relative_rmse(*pair) for pair in pairs], axis=0)
        reached = np.mean([correlation(real, profile) for profile in ours], axis=0)
        rmse = np.mean([relative_rmse(real, profile) for profile in ours], axis=0)
        level = np.mean(ours, axis=(0, 1))
        for i, mark in enumerate(MARKS):
            row = {"mark": mark, "genes": name, "real": real[:, i].mean(), "simulated": level[i]}
            if ceiling[i] >= _FLAT_BELOW:
                row |= {"measure": "profile, correlation", "difference": reached[i]}
                row |= {"ceiling": ceiling[i], "bound": ceiling[i] - 0.03}
                row["holds"] = bool(reached[i] >= row["bound"])
            else:
                row |= {"measure": "profile, RMSE over mean", "difference": rmse[i]}
                row |= {"ceiling": noise[i], "bound": noise[i] + 0.03}
                row["holds"] = bool(rmse[i] <= row["bound"])
            rows.append(row)
    return rows


def _compare_levels(cell: RealCell, simulated: list[np.ndarray], halves: _Halves) -> list[dict]:
    measures = {
        "zero fraction": lambda X: (X == 0).mean(axis=(0, 1)),
        "mean": lambda X: X.mean(axis=(0, 1)),
    }
    rows = []
    for name, measure in measures.items():
        real, ours = measure(cell.X), np.mean([measure(X) for X in simulated], axis=0)
        ratios = [measure(cell.X[a]) / measure(cell.X[b]) for a, b in halves]
        ceiling = np.median(np.abs(np.array(ratios) - 1), axis=0)
        for i, mark in enumerate(MARKS):
            row = {"measure": name, "mark": mark, "genes": "all", "ceiling": ceiling[i]}
            row |= {"real": real[i], "simulated": ours[i], "bound": 0.15}
            row["difference"] = ours[i] / real[i] - 1
            row["holds"] = bool(abs(row["difference"]) <= 0.15)
            rows.append(row)
    return rows


def _compare_correlations(
    cell: RealCell, simulated: list[np.ndarray], halves: _Halves
) -> list[dict]:
    upper = np.triu_indices(len(MARKS), 1)

    def measure(X: np.ndarray) -> np.ndarray:
        return np.corrcoef(np.log1p(X.sum(axis=1)).T)[upper]

    real, ours = measure(cell.X), np.mean([measure(X) for X in simulated], axis=0)
    ceiling = np.median([np.abs(measure(cell.X[a]) - measure(cell.X[b])) for a, b in halves], 0)
    return [
        {
            "measure": "correlation of log sums",
            "mark": f"{MARKS[i]}, {MARKS[j]}",
            "genes": "all",
            "real": real[k],
            "simulated": ours[k],
            "difference": ours[k] - real[k],
            "ceiling": ceiling[k],
            "bound": 0.1,
            "holds": bool(abs(ours[k] - real[k]) <= 0.1),
        }
        for k, (i, j) in enumerate(zip(*upper, strict=True))
    ]


def _compare_by_classifier(
    cell: RealCell, simulated: list[np.ndarray], halves: _Halves
) -> list[dict]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)

    def auroc(model: object, X: np.ndarray, y: np.ndarray) -> float:
        scores = cross_val_predict(model, X, y, cv=folds, method="predict_proba")[:, 1]
        return float(roc_auc_score(y, scores))

    def features(X: np.ndarray) -> np.ndarray:
        bins = np.log1p(X).reshape(len(X), -1)
        return np.column_stack([bins, np.log1p(X.sum(1)), np.log1p(X.max(1)), X.argmax(1)])

    def told_apart(model: object, a: np.ndarray, b: np.ndarray) -> float:
        y = np.repeat([1, 0], [len(a), len(b)])
        return auroc(model, np.concatenate([features(a), features(b)]), y)

    few = slice(0, 3)  # each takes seconds
    rows = []
    models = {
        "real told from simulated, trees": HistGradientBoostingClassifier(random_state=0),
        "real told from simulated, logistic": logistic,
    }
    for name, model in models.items():
        value = np.mean([told_apart(model, cell.X, X) for X in simulated[few]])
        halved = [told_apart(model, cell.X[a], cell.X[b]) for a, b in halves[few]]
        rows.append({"measure": name, "difference": value, "ceiling": np.median(halved)})

    def predicts(X: np.ndarray, of: np.ndarray) -> float:
        return auroc(logistic, np.log1p(X.sum(axis=1))[of], cell.high[of].astype(int))

    everyone = np.arange(len(cell.gene_id))
    real = predicts(cell.X, everyone)
    ours = np.mean([predicts(X, everyone) for X in simulated])
    halved = [abs(predicts(cell.X, a) - predicts(cell.X, b)) for a, b in halves[:10]]
    rows.append(
        {
            "measure": "AUROC of log sums, logistic",
            "real": real,
            "simulated": ours,
            "difference": ours - real,
            "ceiling": np.median(halved),
            "bound": 0.03,
            "holds": bool(abs(ours - real) <= 0.03),
        }
    )
    return [{"mark": "all", "genes": "all", **row} for row in rows]


def draw(
    raw: str | Path,
    expression: str | Path,
    output: str | Path,
    statistics: Statistics | None = None,
) -> list[Path]:
    """Draw real beside simulated counts: `<output>/calibration_<EID>.png` for each cell type.

    Per mark: mean profiles of high and low genes, and all genes as heatmaps sorted by RPKM.
    Bins are in the direction of transcription. Returns the files.
    """
    from matplotlib.figure import Figure

    statistics = statistics or simulator.load_statistics()
    cells = read_cells(Path(raw), read_rpkm(Path(expression)))
    paths = []
    kb = (np.arange(N_BINS) + 0.5 - N_BINS / 2) / 10
    for cell in cells:
        simulated = simulate_like(cell, 0, statistics)
        order = np.argsort(-cell.rpkm, kind="stable")
        figure = Figure(figsize=(14, 9), layout="constrained")
        axes = figure.subplots(3, len(MARKS), sharex=True, height_ratios=[1.2, 1, 1])
        for i, mark in enumerate(MARKS):
            top = axes[0, i]
            for name, of, color in (("high", cell.high, "C3"), ("low", ~cell.high, "C0")):
                for kind, X, style in (("real", cell.X, "-"), ("simulated", simulated, "--")):
                    mean = X[of, :, i].mean(axis=0)
                    top.plot(kb, mean, style, color=color, lw=1.2, label=f"{name}, {kind}")
            top.set(title=mark, ylim=(0, None))
            brightest = np.log1p(np.quantile(cell.X[:, :, i], 0.995))
            for row, kind, X in ((1, "real", cell.X), (2, "simulated", simulated)):
                axes[row, i].imshow(
                    np.log1p(X[order, :, i]),
                    aspect="auto",
                    interpolation="nearest",
                    cmap="magma",
                    vmin=0,
                    vmax=brightest,
                    extent=(-N_BINS / 20, N_BINS / 20, len(order), 0),
                )
                axes[row, i].set_yticks([])
                if i == 0:
                    axes[row, i].set_ylabel(f"{kind}: {len(order)} genes, highest RPKM first")
        axes[0, 0].set_ylabel("mean reads per bin")
        axes[0, 0].legend(fontsize=7)
        figure.supxlabel("kb from the TSS, in the direction of transcription")
        figure.suptitle(f"{cell.cell}: real and simulated reads of the same genes")
        with files.replacing(Path(output) / f"calibration_{cell.cell}.png") as (path,):
            figure.savefig(path, dpi=110, format="png")
        paths.append(Path(output) / f"calibration_{cell.cell}.png")
    return paths
