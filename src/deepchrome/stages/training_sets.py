"""training_sets: what a model gains from training on several cell types, and on which."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome.console import console, progress
from deepchrome.data.dataset import CellType, Dataset, check_validated, origin
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.evaluation import gains, predictions, published_results, training_sets
from deepchrome.evaluation.estimate import Estimate
from deepchrome.evaluation.gains import DesignScores
from deepchrome.evaluation.training_sets import Design, TrainingSet
from deepchrome.figures import training_sets as figures
from deepchrome.figures.published import published_beside_ours
from deepchrome.files import Folder, replacing, write_json
from deepchrome.params import Params, TrainingSetsParams
from deepchrome.training import store
from deepchrome.training.checkpoints import Checkpoints
from deepchrome.training.groups import train
from deepchrome.training.jobs import Job, TrainedNetwork, choose_device
from deepchrome.training.keys import code_hash, job_key
from deepchrome.training.progress import TrainingProgress

PLOTS = (
    "auroc.csv",
    "curve.csv",
    "curve.png",
    "curve_means.csv",
    "means.csv",
    "published.csv",
    "published.png",
    "sets.csv",
    "sets.png",
)
POOLED = "pooled"
"""The name of the model that was trained on all cell types."""


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
    tested = choose_cells(data, chosen)
    sizes, hashes = data.training_genes, data.training_hashes
    sets = choose_sets(data, tested, chosen)
    draws = training_sets.draws(tested, data.cells, chosen.repeats)
    limit = min(sizes.values())
    design = Design(sets, {one: training_sets.limited(one.cells, sizes, limit) for one in draws})
    everyone = tuple(sorted(data.cells))
    test_genes = data.genes.index[data.genes["split"] == "test"].to_numpy()
    seeds = sorted(set(params.seeds))
    jobs = [
        Job(name, seed, cells, examples)
        for name, (cells, examples) in design.models(everyone).items()
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
        f"{chosen.model}: {len(jobs)} models for {len(sets)} training sets and {len(draws)} points "
        f"of the curve, {len(tested)} tested cell types, on {device}"
    )
    with replacing(
        Folder(output, "training_sets", store.FILES),
        predicted,
        metrics,
        Folder(plots_folder, "training_sets", PLOTS),
    ) as (out, predicted_out, metrics_out, plots_out):
        with progress(f"{len(jobs)} models x {variant.epochs} epochs", "genes", 0) as advance:
            left = {job: variant.epochs * n for job, n in seen.items()}
            results = train(
                jobs,
                data,
                variant,
                device,
                params.train.cells_at_once,
                TrainingProgress(advance, left),
                params.train.precision,
                checkpoints,
                params.train.record,
            )
        pooled = [one for one in results if one.job.name == training_sets.name_of(everyone, None)]
        store.save(out, chosen.model, variant, [_renamed(one) for one in pooled], data.info)
        with tempfile.TemporaryDirectory() as folder:
            store.save(Path(folder, "all"), chosen.model, variant, results, data.info)
            models = store.Models(Path(folder, "all"), device)
            tests = predict(data, models, design, predicted_out)
            scores = gains.score(design, test_genes, tests)
        plots_out.mkdir()
        title = f"{chosen.model}, {origin(data.info)}"
        training_sets.members(sets, sizes).to_csv(plots_out / "sets.csv", index=False)
        means, effects = gains.over_cell_types(scores, sets), gains.effects(scores)
        write(plots_out, title, scores, means, effects)
        beside = published_results.beside(
            data,
            scores.by_cell[["training_set", "test_cell", "auroc"]],
            published_results.training_sets(),
        )
        if beside is not None:
            beside.round(6).to_csv(plots_out / "published.csv", index=False)
            published_beside_ours(plots_out / "published.png", title, beside)
        write_json(metrics_out, {"dataset": data.hash} | gains.summary(means, effects))
    checkpoints.clear()
    say(means, effects, len(data.cells) - 1)
    if beside is not None:
        console.print(published_results.describe(beside))


def choose_cells(data: Dataset, chosen: TrainingSetsParams) -> list[str]:
    """Return the cell types to test, sorted; refuse one that the dataset lacks."""
    if chosen.cells == "all":
        return data.cells
    for cell in sorted(set(chosen.cells)):
        if cell not in data.cells:
            raise DeepChromeError(
                f"params.yaml: training_sets.cells: {cell!r} is not in {data.path}"
                f"{nearest(cell, data.cells)} It has {listing(data.cells)}."
            )
    return sorted(set(chosen.cells))


def choose_sets(data: Dataset, tested: list[str], chosen: TrainingSetsParams) -> list[TrainingSet]:
    """Return the training sets of every tested cell type; say which published ones are not here."""
    if chosen.sets == "correlation":
        similar = training_sets.correlation(data)
        return [
            one for cell in tested for one in training_sets.by_correlation(cell, similar, chosen)
        ]
    sets = [one for cell in tested for one in training_sets.published(cell, data.cells)]
    for name, cells in training_sets.absent(sets, tested).items():
        console.print(
            f"{name}: no cell type of the published set is here for {listing(cells)}; left out"
        )
    return sets


def _renamed(one: TrainedNetwork) -> TrainedNetwork:
    job = Job(POOLED, one.job.seed, one.job.cells)
    return TrainedNetwork(job, one.weights, one.shift, one.scale, one.best_epoch, one.valid_auroc)


def predict(
    data: Dataset, models: store.Models, design: Design, path: Path
) -> Iterator[tuple[CellType, dict[str, np.ndarray]]]:
    """Score the test genes of every tested cell type by its models, one cell type at a time.

    Yields the test genes and the scores by model, shape=(seeds, genes). The scores of the training
    sets are written to `path`; there `train_cell` is the name of the set.
    """
    tested = design.test_cells
    with (
        predictions.Writer(path) as writer,
        progress("score", "cell types", len(tested)) as advance,
    ):
        for cell in tested:
            test = data.load(cell).part("test")
            names = design.models_of(cell)
            scores = dict(zip(names, models.log_odds(test.X, names), strict=True))
            of_set = design.models_of_sets(cell)
            shown = np.stack([scores[name] for name in of_set.values()])
            writer.add(list(of_set), models.seeds, test, shown)
            yield test, scores
            advance()


def write(
    folder: Path,
    title: str,
    scores: DesignScores,
    means: pd.DataFrame,
    effects: dict[str, Estimate],
) -> None:
    """Write the tables and figures of training sets and, where there is one, of the curve."""
    scores.by_cell.round(6).to_csv(folder / "auroc.csv", index=False)
    means.round(6).to_csv(folder / "means.csv", index=False)
    figures.sets(folder / "sets.png", title, scores.by_cell, means)
    if len(scores.points):
        scores.points.round(6).to_csv(folder / "curve.csv", index=False)
        curve = gains.over_draws(scores)
        curve.round(6).to_csv(folder / "curve_means.csv", index=False)
        figures.curve(folder / "curve.png", title, curve, gains.describe(effects))


def say(means: pd.DataFrame, effects: dict[str, Estimate], n_others: int) -> None:
    """Print what every training set gains, and what more data and more diverse data give."""
    for row in means.itertuples():
        console.print(
            f"{row.training_set:18} {row.auroc:.3f}  {row.difference:+.4f} against own "
            f"(95% interval {row.low:+.4f} to {row.high:+.4f}, {row.n} cell types)"
        )
    if effects:
        console.print(
            f"{n_others} other cell types instead of one, AUROC (95% interval): "
            f"{gains.describe(effects)}"
        )
