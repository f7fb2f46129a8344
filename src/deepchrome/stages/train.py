"""train: one model for each cell type and seed."""

from pathlib import Path

import pandas as pd

from deepchrome import models
from deepchrome.console import console, progress
from deepchrome.data.dataset import Dataset, check_validated, origin
from deepchrome.figures import evaluation, training
from deepchrome.files import Folder, replacing, write_json
from deepchrome.params import Params
from deepchrome.training import store
from deepchrome.training.checkpoints import Checkpoints
from deepchrome.training.groups import train
from deepchrome.training.jobs import Epoch, Job, choose_device, replay
from deepchrome.training.keys import code_hash, job_key
from deepchrome.training.network import can_batch, network
from deepchrome.training.progress import TrainingProgress
from deepchrome.training.tensorboard import TrainingLog

PLOTS = ("cells.png", "curves.csv", "curves.png", "history.csv")


def run(
    params: Params,
    dataset: str = "data/dataset",
    validated: str = "metrics/validate.json",
    output: str = "models/train",
    metrics: str = "metrics/train.json",
    plots_folder: str = "plots/train",
) -> None:
    """Train the chosen architecture on every cell type of the dataset, once for each seed.

    Writes the weights of the best epochs, the curves (`history.csv`: cell, seed, epoch, train_loss,
    valid_auroc; `curves.csv`: their means by epoch) and, while it trains, TensorBoard events.
    Models of the earlier output that would only be repeated are kept; an interrupted run goes on
    from its last checkpoint.
    """
    data = Dataset(dataset)
    check_validated(data, validated)
    device = choose_device(params.device)
    variant = params.chosen
    batched = can_batch(variant)
    n_parameters = models.n_parameters(network(variant))
    seeds = sorted(set(params.seeds))
    jobs = [Job(cell, seed) for cell in data.cells for seed in seeds]
    code, sizes, hashes = code_hash(), data.training_genes, data.training_hashes
    keys = {
        job: job_key(job, hashes, variant, device.type, params.train.precision, code)
        for job in jobs
    }
    kept = store.reuse(output, Path(plots_folder) / "history.csv", keys)
    todo = [job for job in jobs if job not in kept]
    checkpoints = Checkpoints(keys, params.train.checkpoint_seconds)
    console.print(
        f"{params.model}: {n_parameters:,} parameters, {len(jobs)} models "
        f"({len(data.cells)} cell types x {len(seeds)} seeds), on {device}"
    )
    if kept:
        console.print(f"{len(kept)} of them were trained before, with the same data and settings")
    if checkpoints.folder.is_dir():
        console.print("going on from the checkpoints of an interrupted run")
    if len(todo) > 1 and not batched:
        console.print(
            f"{params.model}: one of its operators cannot be batched over models (vmap has no rule "
            "for it); they train one after the other"
        )
    with (
        replacing(
            Folder(output, "train", store.FILES), metrics, Folder(plots_folder, "train", PLOTS)
        ) as (out, metrics_out, plots_out),
        TrainingLog(params, data, n_parameters) as log,
        progress(f"{len(todo)} models x {variant.epochs} epochs", "genes", 0) as advance,
    ):
        left = {job: variant.epochs * sizes[job.name] for job in todo}
        shown = TrainingProgress(advance, left)

        def on_epoch(epoch: Epoch) -> None:
            log.epoch(epoch)
            shown(epoch)

        for epoch in replay(list(kept.values())):
            log.epoch(epoch)
        done = train(
            todo,
            data,
            variant,
            device,
            params.train.cells_at_once,
            on_epoch,
            params.train.precision,
            checkpoints,
            params.train.record,
        )
        by_job = kept | dict(zip(todo, done, strict=True))
        results = [by_job[job] for job in jobs]
        history = pd.DataFrame(
            [
                {"cell": one.job.name, "seed": one.job.seed} | row
                for one in results
                for row in one.history
            ]
        ).round(6)
        store.save(out, params.model, variant, results, data.info, keys)
        plots_out.mkdir()
        history.to_csv(plots_out / "history.csv", index=False)
        curves = mean_curves(history)
        curves.to_csv(plots_out / "curves.csv", index=False)
        title = f"{params.model}, {origin(data.info)}"
        training.curves(plots_out / "curves.png", title, history)
        best_of = history.groupby(["cell", "seed"], as_index=False)["valid_auroc"].max()
        evaluation.cells(
            plots_out / "cells.png",
            title,
            best_of.rename(columns={"valid_auroc": "auroc"}),
            "best AUROC on validation genes",
        )
        log.finish(history, curves, [plots_out / "curves.png", plots_out / "cells.png"])
        valid = history.groupby(["cell", "seed"])["valid_auroc"].max()
        summary: dict[str, object] = {
            "dataset": data.hash,
            "parameters": n_parameters,
            "valid_auroc": round(float(valid.mean()), 6),
            "best_epoch": round(sum(one.best_epoch for one in results) / len(results), 1),
        }
        if len(seeds) > 1:  # of the mean over cell types, between seeds
            spread = valid.groupby("seed").mean().std()
            summary["valid_auroc_seed_sd"] = round(float(spread), 6)
        write_json(metrics_out, summary)
    checkpoints.clear()


def mean_curves(history: pd.DataFrame) -> pd.DataFrame:
    """Return train_loss and valid_auroc by epoch, averaged over cell types and seeds.

    A model that stopped early keeps its last values, so that the mean does not jump.
    """
    wide = history.pivot(index="epoch", columns=["cell", "seed"]).ffill()
    columns = ["train_loss", "valid_auroc"]
    return pd.DataFrame({name: wide[name].mean(axis=1) for name in columns}).round(6).reset_index()
