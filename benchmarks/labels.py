"""Show what labels made by comparing numbers as text do to AUROC (docs/labels.md).

    python benchmarks/labels.py flips --rpkm data/raw/roadmap/57epigenomes.RPKM.pc.gz
    python benchmarks/labels.py sample --raw data/raw/roadmap-subset

flips: the share of labels that the text comparison flips in each cell type, beside the published
AUROC of DeepChrome. sample: the test AUROC of one model, trained and tested on published and on
corrected labels. Both print numbers and draw a figure.
"""

import argparse
import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from deepchrome import params
from deepchrome.data import reference
from deepchrome.data.dataset import CellType
from deepchrome.data.label_rules import numeric_labels, text_labels
from deepchrome.data.sources import published
from deepchrome.data.sources.expression import FILE_NAME, read_rpkm
from deepchrome.evaluation.metrics import GeneBootstrap, auroc
from deepchrome.figures.style import figure
from deepchrome.training.groups import train
from deepchrome.training.jobs import Job
from tune import score

console = Console(width=120)
RULES = ("published", "corrected")


def flips(rpkm: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return a row a cell type: median RPKM, shares of labels flipped, published AUROC.

    flipped: of all genes. strong: of those with an RPKM of at least 10.
    """
    scores = reference.published_auroc()
    scores = scores[scores["source"] == source].set_index("cell")["auroc"]
    rows = {}
    for cell in scores.index.intersection(rpkm.columns):
        values, median = rpkm[cell].to_numpy(), float(rpkm[cell].median())
        flipped = text_labels(values, median) != numeric_labels(values, median)
        rows[cell] = {
            "median": median,
            "flipped": flipped.mean(),
            "strong": flipped[values >= 10].mean(),
            "auroc": scores[cell],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def print_flips(args: argparse.Namespace) -> None:
    """Print a row a cell type and the correlations; draw the figure."""
    rpkm = read_rpkm(args.rpkm)
    sources = reference.published_auroc()["source"].unique()
    found = flips(rpkm, args.source)
    table = Table("cell type", "name", "median RPKM", "flipped", "RPKM >= 10", "published AUROC")
    for cell, row in found.sort_values("flipped").iterrows():
        name = reference.cell_types()["name"].get(cell, "")
        shares = f"{row['flipped']:.1%}", f"{row['strong']:.1%}"
        table.add_row(
            str(cell), str(name)[:44], f"{row['median']:.3f}", *shares, f"{row['auroc']:.2f}"
        )
    console.print(table)
    affected = found[found["flipped"] > 0]
    console.print(f"{len(affected)} of {len(found)} cell types have flipped labels")
    table = Table("published model", "cell types", "r", "r among affected cell types")
    for source in sources:
        each = flips(rpkm, source)
        among = each[each["flipped"] > 0]
        table.add_row(
            source, f"{len(each)}", f"{correlation(each):.3f}", f"{correlation(among):.3f}"
        )
    console.print(table)
    path = args.output / "labels_published_auroc.png"
    draw_flips(path, found, args.source)
    console.print(f"drawn: {path}")


def correlation(found: pd.DataFrame) -> float:
    """Return Pearson's r of flipped share and AUROC."""
    return float(found["flipped"].corr(found["auroc"]))


def draw_flips(path: Path, found: pd.DataFrame, source: str) -> None:
    """Draw published AUROC against the share of flipped labels, coloured by lineage."""
    known = reference.lineage(list(found.index))
    found = found.loc[known.index]
    clean = found[found["flipped"] == 0]
    with figure(path, 10, 5.8) as (_, ax):
        for group, rows in known.groupby("group", sort=False):
            points = found.loc[rows.index]
            color = rows["color"].iloc[0]
            ax.plot(
                100 * points["flipped"],
                points["auroc"],
                "o",
                ms=9,
                mec="white",
                mew=0.8,
                color=color,
                label=group,
            )
        slope, start = np.polyfit(100 * found["flipped"], found["auroc"], 1)
        ends = np.array([0, 34])
        ax.plot(ends, start + slope * ends, color="#999999", lw=1.2, ls="--", zorder=0)
        for level, cells in clean.groupby("auroc"):
            for i, cell in enumerate(sorted(cells.index)):
                ax.annotate(
                    str(cell),
                    (0, level),
                    (10 + 40 * i, 0),
                    textcoords="offset points",
                    va="center",
                    color=known["color"][cell],
                    fontweight="bold",
                    bbox={"fc": "white", "ec": "none", "pad": 1},
                )
        for low in range(1, 6):
            inside = found[found["median"].between(low, low + 1, inclusive="left")]
            middle = 100 * (inside["flipped"].min() + inside["flipped"].max()) / 2
            ax.text(max(middle, 0.6), 0.665, f"{low} to {low + 1}", ha="center", fontsize=10)
        ax.text(7, 0.665, "median RPKM:", ha="center", fontsize=10, color="#555555")
        ax.set(
            xlim=(-1.2, 34.5),
            ylim=(0.655, 0.94),
            xlabel="labels flipped by comparing RPKM with its median as text (% of 19,795 genes)",
            ylabel=f"published test AUROC\n({source})",
        )
        ax.grid(color="#e5e5e5")
        ax.set_axisbelow(True)
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=10, handletextpad=0.2)
        ax.set_title(
            "Where more labels are wrong, the published AUROC is lower: "
            f"r = {correlation(found):.3f}, {len(found)} cell types"
        )


@dataclass(frozen=True)
class InMemory:
    """Cell types at hand, with the `load` of a dataset."""

    cells: dict[str, CellType]

    def load(self, name: str) -> CellType:
        return self.cells[name]


def read_sample(raw: Path) -> dict[str, dict[str, CellType]]:
    """Return the cell types with labels by each rule: {rule: {cell type: data}}."""
    rpkm = read_rpkm(raw / FILE_NAME if (raw / FILE_NAME).is_file() else raw.parent / FILE_NAME)
    found: dict[str, dict[str, CellType]] = {rule: {} for rule in RULES}
    for cell in published.cell_types(raw):
        table, split = published.read_splits(raw, cell)
        X = published.halve_h3k4me3(table.X, table.gene_id, raw / cell)
        values = rpkm.loc[table.gene_id, cell].to_numpy()
        right = numeric_labels(values, float(rpkm[cell].median()))
        data = CellType(cell, table.gene_id, X, table.label, split)
        found["published"][cell] = data
        found["corrected"][cell] = replace(data, y=right)
    return found


def sample(args: argparse.Namespace) -> None:
    """Print and draw the test AUROC for each pair of training and test labels."""
    variant = params.load(args.params).models[args.model]
    data = read_sample(args.raw)
    seeds = range(args.seeds)
    rows = []
    for trained_on in RULES:
        cells = data[trained_on]
        jobs = [Job(cell, seed) for cell in cells for seed in seeds]
        models = train(jobs, InMemory(cells), variant, torch.device("cpu"))
        for cell, tested_on in itertools.product(cells, RULES):
            test = data[tested_on][cell].part("test")
            mine = [one for one in models if one.job.name == cell]
            scores = [score(one, variant, test.X) for one in mine]
            genes = GeneBootstrap(test.gene_id)
            resampled = [genes.auroc(test.gene_id, test.y, one) for one in scores]
            interval = genes.interval(np.mean(resampled, axis=0))
            values = [auroc(test.y, one) for one in scores]
            wrong = data["published"][cell].y != data["corrected"][cell].y
            rows.append(
                {
                    "cell": cell,
                    "trained_on": trained_on,
                    "tested_on": tested_on,
                    "genes": len(test.y),
                    "flipped": wrong.mean(),
                    "auroc": np.mean(values),
                    "spread": np.std(values, ddof=1) if len(values) > 1 else 0.0,
                    "low": interval.low,
                    "high": interval.high,
                }
            )
    found = pd.DataFrame(rows).sort_values(
        ["cell", "tested_on", "trained_on"], ascending=[True, False, False]
    )
    table = Table(
        "cell type",
        "labels flipped",
        "trained on",
        "tested on",
        "test genes",
        "AUROC ± SD of seeds",
        "95% interval over genes",
    )
    for row in found.itertuples():
        table.add_row(
            row.cell,
            f"{row.flipped:.1%}",
            row.trained_on,
            row.tested_on,
            str(row.genes),
            f"{row.auroc:.3f} ± {row.spread:.3f}",
            f"{row.low:.3f} to {row.high:.3f}",
        )
    console.print(f"{args.model}, mean over {args.seeds} seeds")
    console.print(table)
    path = args.output / "labels_sample.png"
    draw_sample(path, found, args.model)
    console.print(f"drawn: {path}")


def draw_sample(path: Path, found: pd.DataFrame, model: str) -> None:
    """Draw the AUROC of each pair of training and test labels, a panel a cell type."""
    colors = {"published": "#C5512B", "corrected": "#2B6CA3"}
    names = reference.cell_types()["name"]
    n = found["cell"].nunique()
    with figure(path, 5 * n, 4.4, ncols=n, sharey=True, squeeze=False) as (fig, axes):
        for ax, (cell, rows) in zip(axes[0], found.groupby("cell"), strict=True):
            for shift, (trained_on, part) in zip(
                (-0.12, 0.12), rows.groupby("trained_on", sort=False), strict=True
            ):
                part = part.set_index("tested_on").loc[list(RULES)]
                x = np.arange(len(RULES)) + shift
                error = [part["auroc"] - part["low"], part["high"] - part["auroc"]]
                ax.errorbar(
                    x,
                    part["auroc"],
                    error,
                    fmt="o",
                    ms=9,
                    capsize=4,
                    color=colors[trained_on],
                    label=f"trained on {trained_on} labels",
                )
                for one, value in zip(x, part["auroc"], strict=True):
                    side = -1 if shift < 0 else 1
                    ax.annotate(
                        f"{value:.2f}",
                        (one, value),
                        (9 * side, 0),
                        textcoords="offset points",
                        ha="right" if side < 0 else "left",
                        va="center",
                    )
            first = rows.iloc[0]
            ax.set_xticks(range(len(RULES)), [f"tested on\n{rule} labels" for rule in RULES])
            ax.set_xlim(-0.6, 1.6)
            ax.grid(axis="y", color="#e5e5e5")
            ax.set_axisbelow(True)
            flipped = f"{first['flipped']:.0%} of" if first["flipped"] else "no"
            ax.set_title(
                f"{cell}, {names.get(cell, '')[:24]}\n"
                f"{flipped} labels flipped; {first['genes']} test genes"
            )
        axes[0, 0].set(ylabel="test AUROC")
        axes[0, 0].legend(loc="upper left")
        fig.suptitle(
            f"The same model ({model}) on published and on corrected labels "
            "(bars: 95% intervals over genes)",
            x=0.01,
            ha="left",
        )


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("docs/figures"))
    commands = parser.add_subparsers(dest="what", required=True)
    command = commands.add_parser("flips", help="flipped labels beside published AUROCs")
    command.add_argument("--rpkm", type=Path, required=True, help=FILE_NAME)
    command.add_argument("--source", default="DeepChrome 2016 CNN", help="a published model")
    command.set_defaults(run=print_flips)
    command = commands.add_parser("sample", help="one model on published and corrected labels")
    command.add_argument("--raw", type=Path, required=True, help="published layout, with RPKM")
    command.add_argument("--model", default="linear", help="an entry of params.yaml's models")
    command.add_argument("--params", default="params.yaml")
    command.add_argument("--seeds", type=int, default=5)
    command.set_defaults(run=sample)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.output.mkdir(parents=True, exist_ok=True)
    args.run(args)


if __name__ == "__main__":
    main()
