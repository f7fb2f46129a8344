"""Measure whether the simulator holds, and whether its knobs do what they say.

    python benchmarks/simulator.py holds --real data/raw/roadmap-subset     real beside simulated
    python benchmarks/simulator.py models --real data/raw/roadmap-subset    AUROC on both, 20 seeds
    python benchmarks/simulator.py curves            gap and gain along the knobs
    python benchmarks/simulator.py null              both knobs at 0, 20 seeds

The RPKM table lies in the real sample's folder or beside it; --real may also name the folder around
both. `holds` and `curves` draw figures into docs/figures.
Cell types, genes and models are those of params.yaml unless options say otherwise. Every seed
simulates anew, except for `models` on the real sample, where it splits the genes anew.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from scipy import stats
from torch.func import functional_call

import simulator_fit
from deepchrome import MARKS, N_BINS, SPLITS, params
from deepchrome.data import reference
from deepchrome.data.dataset import CellType
from deepchrome.data.sources.expression import FILE_NAME, read_rpkm
from deepchrome.evaluation.metrics import auroc
from deepchrome.models import margin
from deepchrome.models.preprocessing import Preprocessing
from deepchrome.simulation import simulator
from deepchrome.simulation.calibration import RealCell, read_cells, simulate_like
from deepchrome.training.fit import fit
from deepchrome.training.jobs import Job, TrainedNetwork
from deepchrome.training.network import network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

console = Console(width=140)


def simulate(cells: list[str], n: int, seed: int, **knobs) -> dict[str, CellType]:
    """Simulate cell types in memory: n genes, a third in each split, numeric labels."""
    statistics = simulator.load_statistics()
    table = reference.genes().drop_duplicates("gene_id").reset_index(drop=True)
    rpkm = simulator.expression(table["gene_id"], cells, seed, statistics)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(table), n, replace=False))
    genes = table.loc[rows]
    split = rng.permutation(np.resize(np.array(SPLITS, dtype=object), n))
    result = {}
    for i, cell in enumerate(cells):
        strand = genes["strand"].to_numpy()
        X = simulator.counts(cell, rpkm[rows, i], strand, seed, statistics, **knobs)
        y = (rpkm[rows, i] > np.median(rpkm[:, i])).astype(np.int8)
        result[cell] = CellType(cell, genes["gene_id"].to_numpy(), X, y, split)
    return result


@torch.no_grad()
def score(trained: TrainedNetwork, variant: params.ModelParams, X: np.ndarray) -> np.ndarray:
    """Return the log-odds of high of each gene."""
    x = Preprocessing.of(variant).features(torch.from_numpy(X))
    x = (x - torch.as_tensor(trained.shift)) / torch.as_tensor(trained.scale)
    weights = {name: torch.as_tensor(weight) for name, weight in trained.weights.items()}
    return margin(functional_call(network(variant).eval(), weights, (x,))).numpy()


def matrix(data: dict[str, CellType], variant: params.ModelParams, seed: int) -> np.ndarray:
    """Return test AUROCs, shape=(train cell types, test cell types)."""
    trained = [
        fit([Job(cell, seed)], {cell: data[cell]}, variant, torch.device("cpu"))[0] for cell in data
    ]
    test = [one.part("test") for one in data.values()]
    return np.array([[auroc(t.y, score(m, variant, t.X)) for t in test] for m in trained])


def gap(aurocs: np.ndarray) -> float:
    """Return mean AUROC within a cell type minus that between."""
    return np.diag(aurocs).mean() - aurocs[~np.eye(len(aurocs), dtype=bool)].mean()


def half_width(values: Sequence[float]) -> float:
    """Return half the 95% interval of the mean over seeds, by Student's t."""
    n = len(values)
    return stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n) if n > 1 else np.nan


def interval(values: Sequence[float]) -> str:
    """Return the mean and its 95% interval over seeds."""
    mean, half = np.mean(values), half_width(values)
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"


def save(figure: "Figure", path: Path) -> None:
    """Write a figure and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    console.print(f"drawn: {path}")


def find_sample(real: Path) -> tuple[Path, Path]:
    """Return the folder of the real sample and its RPKM table."""
    raw = real / "roadmap-subset" if (real / "roadmap-subset").is_dir() else real
    return raw, raw / FILE_NAME if (raw / FILE_NAME).is_file() else raw.parent / FILE_NAME


def holds(args: argparse.Namespace) -> None:
    """Print the comparison and draw it."""
    raw, table = find_sample(args.real)
    found = simulator_fit.compare(raw, table, splits=args.splits)
    shown = Table(*found.columns.str.replace("difference", "difference, score"))
    for row in found.itertuples(index=False):
        shown.add_row(
            *("" if pd.isna(v) else f"{v:.3f}" if isinstance(v, float) else str(v) for v in row)
        )
    console.print(shown)
    bounded = found["holds"].dropna()
    console.print(f"{bounded.sum()} of {len(bounded)} bounds hold")
    draw_profiles(read_cells(raw, read_rpkm(table)), args.figures)


def draw_profiles(cells: list[RealCell], folder: Path) -> None:
    """Draw real beside simulated mean profiles of high and low genes, a row a cell type."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    statistics = simulator.load_statistics()
    figure = Figure(figsize=(13, 2.8 * len(cells)), layout="constrained")
    panels = figure.subplots(len(cells), len(MARKS), sharex=True, squeeze=False)
    kb = (np.arange(N_BINS) + 0.5 - N_BINS / 2) / 10
    for cell, row in zip(cells, panels, strict=True):
        made = [simulate_like(cell, 1000 + k, statistics) for k in range(5)]
        for i, (mark, axis) in enumerate(zip(MARKS, row, strict=True)):
            for name, of, light, dark in (
                ("high", cell.high, "#e78a84", "#8c1d18"),
                ("low", ~cell.high, "#86b4dd", "#173f78"),
            ):
                real = cell.X[of, :, i]
                mean, half = real.mean(axis=0), 1.96 * real.std(axis=0) / np.sqrt(of.sum())
                axis.fill_between(kb, mean - half, mean + half, color=light, alpha=0.35, lw=0)
                axis.plot(kb, mean, color=light, lw=1.4, label=f"{name} expression, real")
                mean = np.mean([X[of, :, i].mean(axis=0) for X in made], axis=0)
                axis.plot(kb, mean, color=dark, lw=1.4, ls=(0, (2, 1)), label=f"{name}, simulated")
            axis.set_ylim(0)
            axis.set_xticks([-5, 0, 5])
            axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            axis.set_title(mark if cell is cells[0] else "")
            axis.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel(f"{cell.cell}, {len(cell.gene_id)} genes\nmean reads per bin")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.supxlabel(
        "kb from the TSS, in the direction of transcription; shaded: 95% interval of the real mean",
        fontsize="medium",
    )
    save(figure, folder / "simulator_profiles.png")


def models(args: argparse.Namespace) -> None:
    """Print the AUROC of linear and deepchrome on the real sample and on its simulated like."""
    variants = params.load().models
    raw, path = find_sample(args.real)
    rpkm = read_rpkm(path)
    table = Table("cell", "model", "real", "simulated", "simulated - real, 95% interval")
    for cell in read_cells(raw, rpkm):
        for name in ("linear", "deepchrome"):
            pairs = []
            for seed in range(args.seeds):
                made = simulate_like(cell, seed, simulator.load_statistics())
                rng = np.random.default_rng(seed)
                split = rng.permutation(np.resize(np.array(SPLITS, dtype=object), len(made)))
                both = []
                for X in (cell.X, made):
                    data = CellType(
                        cell.cell,
                        cell.gene_id,
                        X.astype(np.uint16),
                        cell.high.astype(np.int8),
                        split,
                    )
                    both.append(matrix({cell.cell: data}, variants[name], seed)[0, 0])
                pairs.append(both)
            real, made_mean = np.mean(pairs, axis=0)
            differences = [made - real for real, made in pairs]
            table.add_row(cell.cell, name, f"{real:.3f}", f"{made_mean:.3f}", interval(differences))
    console.print(table)


def measure(args: argparse.Namespace, *, cnn: bool = True, **knobs) -> pd.DataFrame:
    """Return AUROCs, a row a seed.

    within, between: of linear, over all pairs of cell types. gap: their difference. linear,
    deepchrome: within, over the cell types that deepchrome is trained on. gain: their difference.
    """
    variants = params.load().models
    rows = []
    for seed in range(args.seeds):
        data = simulate(args.cells, args.genes, seed, **knobs)
        aurocs = matrix(data, variants["linear"], seed)
        row = {"within": np.diag(aurocs).mean(), "gap": gap(aurocs)}
        row["between"] = row["within"] - row["gap"]
        if cnn:
            some = {cell: data[cell] for cell in args.cells[: args.cnn_cells]}
            row["linear"] = np.diag(aurocs)[: len(some)].mean()
            row["deepchrome"] = np.diag(matrix(some, variants["deepchrome"], seed)).mean()
            row["gain"] = row["deepchrome"] - row["linear"]
        rows.append(row)
    return pd.DataFrame(rows)


STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
KNOBS = {  # what each opens, as columns of `measure`: two AUROCs and their difference
    "cell_specificity": ("within", "between", "gap"),
    "interaction": ("deepchrome", "linear", "gain"),
}


def curves(args: argparse.Namespace) -> None:
    """Print and draw the gap along cell_specificity and the CNN's gain along interaction."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    for (knob, opened), (upper, lower) in zip(KNOBS.items(), panels.T, strict=True):
        found = [
            measure(args, cnn=knob == "interaction", depth=args.depth, **{knob: strength})
            for strength in STRENGTHS
        ]
        high, low, difference = opened
        table = Table(knob, high, low, f"{high} - {low}, 95% interval")
        for strength, values in zip(STRENGTHS, found, strict=True):
            shown = (f"{values[key].mean():.3f}" for key in (high, low))
            table.add_row(f"{strength:.2f}", *shown, interval(values[difference]))
        console.print(table)

        for axis, key, color, style in (
            (upper, high, "C0", "-"),
            (upper, low, "C1", "--"),
            (lower, difference, "0.25", "-"),
        ):
            mean = [values[key].mean() for values in found]
            half = [half_width(values[key]) for values in found]
            axis.errorbar(
                STRENGTHS, mean, half, fmt="o", ls=style, color=color, capsize=3, label=key
            )
        upper.axhline(0.5, color="0.8", lw=0.8, zorder=0)
        lower.axhline(0, color="0.8", lw=0.8, zorder=0)
        model = "linear" if knob == "cell_specificity" else "within cell types"
        upper.legend(title=f"test AUROC, {model}", frameon=False, loc="lower left")
        lower.set(xlabel=f"simulate.{knob}", xticks=STRENGTHS)
        lower.set_title(f"{high} - {low}", fontsize="medium")
    panels[0, 0].set_ylabel("test AUROC")
    panels[1, 0].set_ylabel("difference in AUROC")
    for axis in panels.flat:
        axis.spines[["top", "right"]].set_visible(False)
    save(figure, args.figures / "simulator_knobs.png")


def null(args: argparse.Namespace) -> None:
    """Print what the pipeline reports where there is nothing to find, and the floor."""
    table = Table("depth", "gap of linear", "linear, within", "deepchrome - linear")
    for depth in ("equal", "calibrated"):
        found = measure(args, depth=depth)
        within = f"{found['within'].mean():.3f}"
        table.add_row(depth, interval(found["gap"]), within, interval(found["gain"]))
    console.print(table)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["holds", "models", "curves", "null"])
    parser.add_argument("--real", type=Path, default=Path("data/raw/roadmap-subset"))
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    parser.add_argument("--splits", type=int, default=50, help="random halves behind a ceiling")
    parser.add_argument("--cells", nargs="+", default=["E003", "E037", "E071", "E100", "E123"])
    parser.add_argument("--cnn-cells", type=int, default=2, help="train deepchrome on the first n")
    parser.add_argument("--genes", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--depth", choices=["calibrated", "equal"], default="equal")
    args = parser.parse_args()
    torch.set_num_threads(1)
    {"holds": holds, "models": models, "curves": curves, "null": null}[args.what](args)


if __name__ == "__main__":
    main()
