"""training_sets: what a model gains from training on several cell types, and on which."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome.console import TrainingProgress, console, progress
from deepchrome.data.dataset import Dataset, check_validated, origin
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.evaluation import predictions, published_results
from deepchrome.evaluation.metrics import GeneBootstrap, Interval, auroc
from deepchrome.evaluation.statistics import over_cells_and_genes
from deepchrome.evaluation.training_sets import (
    SETS,
    Draw,
    TrainingSet,
    by_correlation,
    correlation,
    draws,
    name_of,
    published,
)
from deepchrome.figures import training_sets as figures
from deepchrome.figures.published import published_beside_ours
from deepchrome.files import replacing, write_json
from deepchrome.params import Params
from deepchrome.training import store as trained
from deepchrome.training.checkpoints import Checkpoints, code_hash, job_key
from deepchrome.training.fit import Job, Trained, choose_device, train_groups

POOLED = "pooled"
"""The name of the model that was trained on all cell types."""

ALL, AS_ONE = "all", "as one cell type"
"""How many training genes a point of the curve learns from: all of its cell types', or as many as
the cell type with the fewest has."""


def run(
    params: Params,
    dataset: str = "data/dataset",
    validated: str = "metrics/validate.json",
    output: str = "models/training_sets",
    predicted: str = "predictions/training_sets.parquet",
    metrics: str = "metrics/training_sets.json",
    plots_folder: str = "plots/training_sets",
) -> None:
    """Train on every training set of each tested cell type; identical sets are trained once.

    Writes who is in each set, AUROC by set and cell type with the paired difference to `own`, the
    curve over the number of training cell types, what of it comes with more data and what with more
    diverse data, and the model of all cell types, `pooled` (docs/training_sets.md).
    """
    data = Dataset(dataset)
    check_validated(data, validated)
    device, chosen = choose_device(params.device), params.training_sets
    variant = params.variant(chosen.model)
    tested = data.cells if chosen.cells == "all" else sorted(set(chosen.cells))
    for cell in tested:
        if cell not in data.cells:
            raise DeepChromeError(
                f"params.yaml: training_sets.cells: {cell!r} is not in {data.path}"
                f"{nearest(cell, data.cells)} It has {listing(data.cells)}."
            )
    sizes, hashes = data.training_genes, data.training_hashes
    if chosen.sets == "correlation":
        similar = correlation(data)
        sets = [one for cell in tested for one in by_correlation(cell, similar, chosen)]
    else:
        sets = [one for cell in tested for one in published(cell, data.cells)]
        note_absent(sets, tested)
    curve = draws(tested, data.cells, chosen.repeats) if len(data.cells) > 1 else []
    bound = min(sizes.values())
    everyone = tuple(sorted(data.cells))
    wanted: dict[str, tuple[tuple[str, ...], int | None]]
    trained_on = [one.cells for one in sets] + [one.cells for one in curve]
    wanted = {name_of(cells, None): (cells, None) for cells in trained_on}
    wanted[name_of(everyone, None)] = everyone, None
    bounds = {one: bounded(one.cells, sizes, bound) for one in curve}
    wanted |= {name_of(one.cells, n): (one.cells, n) for one, n in bounds.items()}
    seeds = sorted(set(params.seeds))
    jobs = [
        Job(name, seed, cells, examples)
        for name, (cells, examples) in wanted.items()
        for seed in seeds
    ]
    seen = {job: job.examples or sum(sizes[cell] for cell in job.sources) for job in jobs}
    jobs.sort(key=lambda job: -seen[job])  # like trains with like
    code = code_hash()
    keys = {
        job: job_key(job, hashes, variant, device.type, params.train.precision, code)
        for job in jobs
    }
    checkpoints = Checkpoints(keys, params.train.checkpoint_seconds)
    console.print(
        f"{chosen.model}: {len(jobs)} models for {len(sets)} training sets and {len(curve)} points "
        f"of the curve, {len(tested)} tested cell types, on {device}"
    )
    with replacing(output, predicted, metrics, plots_folder) as (
        out,
        predicted_out,
        metrics_out,
        plots_out,
    ):
        with progress(f"{len(jobs)} models x {variant.epochs} epochs", "genes", 0) as advance:
            left = {job: variant.epochs * n for job, n in seen.items()}
            results = train_groups(
                jobs,
                data,
                variant,
                device,
                params.train.cells_at_once,
                TrainingProgress(advance, left),
                params.train.precision,
                checkpoints,
            )
        pooled = [one for one in results if one.job.name == name_of(everyone, None)]
        trained.save(out, chosen.model, variant, [_renamed(one) for one in pooled], data.info)
        with tempfile.TemporaryDirectory() as folder:
            trained.save(Path(folder, "all"), chosen.model, variant, results, data.info)
            models = trained.Models(Path(folder, "all"), device)
            scored = score(data, models, sets, bounds, predicted_out)
        plots_out.mkdir()
        members(sets, sizes).to_csv(plots_out / "sets.csv", index=False)
        scored.by_cell.round(6).to_csv(plots_out / "auroc.csv", index=False)
        means = over_cell_types(scored, sets)
        means.round(6).to_csv(plots_out / "means.csv", index=False)
        title = f"{chosen.model}, {origin(data.info)}"
        figures.sets(plots_out / "sets.png", title, scored.by_cell, means)
        summary: dict[str, object] = {"dataset": data.hash} | dict.fromkeys(SETS)
        summary |= means.set_index("training_set")["auroc"].round(6).to_dict()
        found = effects(scored) if len(data.cells) > 2 else {}
        for name in EFFECTS:
            one = found.get(name)
            summary[name] = one and round(one.value, 6)
            summary[f"{name}_ci95"] = one and [round(one.low, 6), round(one.high, 6)]
        if curve:
            scored.points.round(6).to_csv(plots_out / "curve.csv", index=False)
            curve_means = over_draws(scored)
            curve_means.round(6).to_csv(plots_out / "curve_means.csv", index=False)
            figures.curve(plots_out / "curve.png", title, curve_means, describe(found))
        beside = published_results.beside(
            data,
            scored.by_cell[["training_set", "test_cell", "auroc"]],
            published_results.training_sets(),
        )
        if beside is not None:
            beside.round(6).to_csv(plots_out / "published.csv", index=False)
            published_beside_ours(plots_out / "published.png", title, beside)
        write_json(metrics_out, summary)
    checkpoints.clear()
    for row in means.itertuples():
        console.print(
            f"{row.training_set:18} {row.auroc:.3f}  {row.difference:+.4f} against own "
            f"(95% interval {row.low:+.4f} to {row.high:+.4f}, {row.n} cell types)"
        )
    if found:
        console.print(
            f"{len(data.cells) - 1} other cell types instead of one, AUROC (95% interval): "
            f"{describe(found)}"
        )
    if beside is not None:
        console.print(published_results.describe(beside))


def note_absent(sets: Iterable[TrainingSet], tested: Iterable[str]) -> None:
    """Say which published sets no cell type at hand is in."""
    found = {(one.name, one.test_cell) for one in sets}
    for name in SETS:
        absent = [cell for cell in tested if (name, cell) not in found]
        if absent:
            console.print(
                f"{name}: no cell type of the published set is here for {listing(absent)}; left out"
            )


def bounded(cells: tuple[str, ...], sizes: dict[str, int], bound: int) -> int | None:
    """Return how many examples a model may see; None where that is all there are."""
    return bound if sum(sizes[cell] for cell in cells) > bound else None


def _renamed(one: Trained) -> Trained:
    job = Job(POOLED, one.job.seed, one.job.cells)
    return Trained(job, one.weights, one.shift, one.scale, one.best_epoch, one.valid_auroc)


def members(sets: Iterable[TrainingSet], sizes: dict[str, int]) -> pd.DataFrame:
    """Return who is in each set: test_cell, training_set, n_cells, examples, train_cells."""
    return pd.DataFrame(
        [
            {
                "test_cell": one.test_cell,
                "training_set": one.name,
                "n_cells": len(one.cells),
                "examples": sum(sizes[cell] for cell in one.cells),
                "train_cells": " ".join(one.cells),
            }
            for one in sets
        ]
    )


EFFECTS = {"more_diverse": "more diverse data", "more_data": "more data"}
"""What `effects` tells apart, in words."""


@dataclass(frozen=True)
class Scored:
    """AUROCs on the test genes, means over seeds.

    by_cell: test_cell, training_set, auroc, and the difference to own with its 95% interval over
    genes (low, high). points: of the curve, test_cell, repeat, n_cells, examples, auroc. resampled:
    the AUROC of every training set, and of every kind of point on the mean over repeats, in each
    resample of the genes: by training set or (n_cells, examples), a column a cell type.
    """

    by_cell: pd.DataFrame
    points: pd.DataFrame
    resampled: dict[str | tuple[int, str], pd.DataFrame]


def score(
    data: Dataset,
    models: trained.Models,
    sets: list[TrainingSet],
    bounds: dict[Draw, int | None],
    predicted: Path,
) -> Scored:
    """Score the test genes of every tested cell type by the models of its sets and of the curve.

    bounds: how many examples the models of the curve saw at `AS_ONE`. The scores of the sets are
    written to `predicted`.
    """
    bootstrap = GeneBootstrap(data.genes.index[data.genes["split"] == "test"].to_numpy())
    rows, points = [], []
    resampled: dict[str | tuple[int, str], dict[str, np.ndarray]] = {}
    tested = list(dict.fromkeys(one.test_cell for one in sets))
    with (
        predictions.Writer(predicted) as writer,
        progress("score", "cell types", len(tested)) as advance,
    ):
        for cell in tested:
            test = data.load(cell).part("test")
            mine = {one.name: name_of(one.cells, None) for one in sets if one.test_cell == cell}
            drawn = [
                (draw, examples, name_of(draw.cells, n))
                for draw, bound in bounds.items()
                for examples, n in ((ALL, None), (AS_ONE, bound))
                if draw.test_cell == cell
            ]
            names = list(dict.fromkeys([*mine.values(), *(name for _, _, name in drawn)]))
            scores = dict(zip(names, models.predict(test.X, names), strict=True))
            shown = np.stack([scores[name] for name in mine.values()])
            writer.add(list(mine), models.seeds, test, shown)
            value, by_gene = {}, {}
            for name, by_seed in scores.items():
                value[name] = float(np.mean([auroc(test.y, one) for one in by_seed]))
                again = [bootstrap.auroc(test.gene_id, test.y, one) for one in by_seed]
                by_gene[name] = np.mean(again, axis=0)
            for training_set, name in mine.items():
                resampled.setdefault(training_set, {})[cell] = by_gene[name]
                interval = GeneBootstrap.interval(by_gene[name] - by_gene[cell])
                rows.append(
                    {
                        "test_cell": cell,
                        "training_set": training_set,
                        "auroc": value[name],
                        "difference": value[name] - value[cell],
                        "low": interval.low,
                        "high": interval.high,
                    }
                )
            at: dict[tuple[int, str], list[np.ndarray]] = {}
            for draw, examples, name in drawn:
                points.append(
                    {
                        "test_cell": cell,
                        "repeat": draw.repeat,
                        "n_cells": len(draw.cells),
                        "examples": examples,
                        "auroc": value[name],
                    }
                )
                at.setdefault((len(draw.cells), examples), []).append(by_gene[name])
            for point, repeats in at.items():
                resampled.setdefault(point, {})[cell] = np.mean(repeats, axis=0)
            advance()
    return Scored(
        pd.DataFrame(rows),
        pd.DataFrame(points),
        {name: pd.DataFrame(columns) for name, columns in resampled.items()},
    )


def mean_interval(difference: pd.Series, resampled: pd.DataFrame) -> Interval:
    """Return the 95% interval of a mean over cell types, over cell types and genes.

    difference: by cell type. resampled: the same in each resample of the genes, a column a cell
    type. For one cell type over genes alone.
    """
    drawn = resampled[difference.index].to_numpy()
    if len(difference) == 1:
        return GeneBootstrap.interval(drawn[:, 0])
    return over_cells_and_genes(difference.to_numpy(), drawn).interval()


def over_cell_types(scored: Scored, sets: Iterable[TrainingSet]) -> pd.DataFrame:
    """Return by training set: n, n_cells, auroc, difference to own and its 95% interval.

    n: tested cell types that have this set; all else is over them. n_cells: how many it is trained
    on, the mean.
    """
    sizes = pd.DataFrame([(one.name, len(one.cells)) for one in sets], columns=["name", "n"])
    own = scored.resampled["own"]
    rows = []
    for name in [name for name in SETS if name in scored.resampled]:
        mine = scored.by_cell[scored.by_cell["training_set"] == name].set_index("test_cell")
        drawn = scored.resampled[name]
        interval = mean_interval(mine["difference"], drawn - own[drawn.columns])
        rows.append(
            {
                "training_set": name,
                "n": len(mine),
                "n_cells": sizes.loc[sizes["name"] == name, "n"].mean(),
                "auroc": mine["auroc"].mean(),
                "difference": mine["difference"].mean(),
                "low": interval.low,
                "high": interval.high,
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Gain:
    """A mean difference of AUROCs and its 95% interval over cell types and genes."""

    value: float
    low: float
    high: float


def gain(scored: Scored, to: tuple[int, str], start: tuple[int, str] = (1, AS_ONE)) -> Gain:
    """Return what is gained from one kind of point of the curve to another."""
    table = scored.points.pivot_table("auroc", "test_cell", ["n_cells", "examples"])
    difference = table[to] - table[start]
    interval = mean_interval(difference, scored.resampled[to] - scored.resampled[start])
    return Gain(float(difference.mean()), interval.low, interval.high)


def effects(scored: Scored) -> dict[str, Gain]:
    """Tell apart what all other cell types give beyond one of them.

    more_diverse: of as many examples as one cell type has. more_data: of all their examples instead
    of so many.
    """
    most = int(scored.points["n_cells"].max())
    return {
        "more_diverse": gain(scored, (most, AS_ONE)),
        "more_data": gain(scored, (most, ALL), (most, AS_ONE)),
    }


def describe(found: dict[str, Gain]) -> str:
    """Say `effects` in words."""
    return ", ".join(
        f"{EFFECTS[name]} {one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
        for name, one in found.items()
    )


def over_draws(scored: Scored) -> pd.DataFrame:
    """Return the curve, means over cell types and repeats: n_cells, examples, auroc, and the gain.

    gain: over one other cell type, with its 95% interval (low, high).
    """
    mean = scored.points.groupby(["n_cells", "examples"])["auroc"].mean()
    rows = []
    for (n_cells, examples), value in mean.items():
        one = gain(scored, (n_cells, examples))
        rows.append(
            {
                "n_cells": n_cells,
                "examples": examples,
                "auroc": value,
                "gain": one.value,
                "low": one.low,
                "high": one.high,
            }
        )
    return pd.DataFrame(rows)
