"""gan: signals of high and low genes, generated, and how far to trust them."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from deepchrome import MARKS
from deepchrome.console import console, progress, warn
from deepchrome.data.dataset import Dataset, check_validated, origin
from deepchrome.errors import DeepChromeError, nearest
from deepchrome.figures import generated as figures
from deepchrome.files import Folder, read_json, replacing, write_json
from deepchrome.interpretation import generator_quality, quality, verdicts
from deepchrome.interpretation.adversarial import (
    CRITIC_STEPS,
    CURVE_EVERY,
    DivergedError,
    Examples,
    Guide,
    Step,
    Trainer,
    curve,
    mean_step,
)
from deepchrome.interpretation.generator import Generator, save
from deepchrome.interpretation.log_odds import scorer
from deepchrome.interpretation.quality import Rivals, Set
from deepchrome.interpretation.threads import one_thread
from deepchrome.params import GanParams
from deepchrome.training.executor import cores, one_beside
from deepchrome.training.jobs import choose_device
from deepchrome.training.keys import code_digest
from deepchrome.training.store import FILES, Models, check_same_data, write_info
from deepchrome.training.tensorboard import GanLog

CURVE = "training.csv"
PLOTS = (
    *(CURVE, "training.png", "quality.csv", "quality.png", "walk.png", "walk.gif", "verdict.txt"),
    *(f"{name}.png" for name in ("cells", "correlation", "genes", "means", "profiles")),
)
WALK_GENES, WALK_FRAMES, FILM_FRAMES = 4, 7, 19

TRAINING_CODE = (
    "__init__.py",
    "data/dataset.py",
    "interpretation/adversarial.py",
    "interpretation/network.py",
    "interpretation/signals.py",
)
"""What a generator depends on once it is trained, beside data, settings, torch and its guide."""

GUIDE_CODE = ("interpretation/log_odds.py", "models")
"""What the guide depends on, beside its weights."""

DRAWING_CODE = (
    "data/reference",
    "evaluation",
    "figures",
    "interpretation",
    "stages/gan.py",
)
"""What measures, figures and verdict depend on, beside the generator."""


def run(
    params: GanParams,
    device: str,
    dataset: str = "data/dataset",
    validated: str = "metrics/validate.json",
    models: str = "models/train",
    output: str = "models/gan",
    metrics: str = "metrics/gan.json",
    plots_folder: str = "plots/gan",
) -> None:
    """Train a generator on the training genes of all chosen cell types; compare it with test genes.

    Writes the generator, the measures of its quality beside those of two rivals (`quality.csv`),
    figures and a verdict. A generator that collapsed or diverged is reported, its signals are not
    drawn. The earlier generator is kept where training would only repeat it, and nothing is done
    where measuring and drawing would, too.
    """
    data = Dataset(dataset)
    check_validated(data, validated)
    on = choose_device(device)
    names = choose_cells(params, data)
    guide = read_guide(models, data, names, on) if params.guidance else None
    keys = content_keys(params, data, models if guide else None)
    old = read_earlier(output, metrics, plots_folder)
    if old and old.info.get("training_key") != keys["training_key"]:
        old = None
    if old and old.info.get("drawing_key") == keys["drawing_key"]:
        console.print(f"{output}: trained before, with the same data, settings and code; kept")
        return
    cells = [data.load(cell) for cell in names]
    train_set, test = Set.of(cells, "train"), Set.of(cells, "test")
    values, orientation, title = data.info["values"], data.info["orientation"], origin(data.info)
    with (
        replacing(Folder(output, "gan", FILES), metrics, Folder(plots_folder, "gan", PLOTS)) as (
            out,
            metrics_out,
            plots_out,
        ),
        GanLog(params) as log,
        one_beside() as pool,
        one_thread(on),
    ):
        # rivals know nothing of the generator: they are measured on another core while it trains
        rivals = pool.submit(
            quality.compare_rivals, train_set, test, params.examples, params.seed, cores() - 1
        )
        plots_out.mkdir()
        if old:
            console.print(
                f"{output}: trained before, with the same data, settings and code; "
                "measured and drawn again"
            )
            network, finite = old.network, bool(old.info["finite"])
            shutil.copy(Path(plots_folder) / CURVE, plots_out)
        else:
            trainer = Trainer(Examples.of(cells, "train", on), params, values, guide)
            steps, finite = train(trainer, params, log, len(cells))
            network = trainer.network
            curve(steps).to_csv(plots_out / CURVE, index=False)
        draw_training(plots_out, title)
        state = "diverged"
        if finite:
            state = generator_quality.state(network, train_set, values, params.seed)
        info = {
            "cells": names,
            "marks": list(MARKS),
            "values": values,
            "state": state,
            "finite": finite,
            "orientation": orientation,
            "dataset": data.hash,
            "settings": params.model_dump(),
            **keys,
        }
        save(out, network, info)
        summary: dict[str, Any] = {"dataset": data.hash, "state": state}
        if state == "trained":
            generator = Generator(out, on)
            measured, sample = measure(generator, test, train_set, rivals.result(), params)
            measured.round(6).to_csv(plots_out / "quality.csv", index=False)
            draw(plots_out, title, generator, sample, train_set, measured, orientation)
            summary |= generator_quality.scalars(measured)
            verdict = f"{verdicts.difference_of_labels(*sample)} {verdicts.trust(measured)}"
        else:
            verdict = verdicts.failed(state)
            warn(verdict)
        (plots_out / "verdict.txt").write_text(verdict + "\n", encoding="utf-8")
        write_json(metrics_out, summary)
        write_info(out, info | {"metrics": summary})
        log.finish(sorted(plots_out.glob("*.png")))
    console.print(verdict)


def choose_cells(params: GanParams, data: Dataset) -> list[str]:
    """Return the cell types to learn from, all of which the dataset has."""
    if params.cells == "all":
        return data.cells
    for cell in params.cells:
        if cell not in data.cells:
            raise DeepChromeError(
                f"gan.cells: {cell!r} is not in {data.path}{nearest(cell, data.cells)} "
                f"It has {', '.join(data.cells)}."
            )
    return sorted(set(params.cells))


def read_guide(path: str, data: Dataset, names: list[str], device: torch.device) -> Guide:
    """Return the trained classifiers of these cell types; with several seeds the first one's."""
    models = Models(path, device)
    check_same_data(models, data)
    return [scorer(models, cell, 0) for cell in names]


def content_keys(params: GanParams, data: Dataset, models: str | None) -> dict[str, str]:
    """Return two hashes of all that decides the outputs, by their names in `model.json`.

    training_key: of the data, the settings and code of training, and the guide; drawing_key: of
    these and of what measures, figures and verdict are made by. models: of the guide; None without
    one.
    """
    settings = params.model_dump_json(exclude={"examples"})  # they are compared, not learnt from
    training = hashlib.sha256(f"{torch.__version__} {data.hash} {settings}".encode())
    training.update(code_digest(TRAINING_CODE))
    if models:
        training.update(code_digest(GUIDE_CODE))
        training.update((Path(models) / "weights.safetensors").read_bytes())
    drawing = training.copy()
    drawing.update(params.model_dump_json().encode() + code_digest(DRAWING_CODE))
    return {
        "training_key": training.hexdigest()[:16],
        "drawing_key": drawing.hexdigest()[:16],
    }


def read_earlier(output: str, metrics: str, plots_folder: str) -> Generator | None:
    """Return the earlier generator, if it and what was drawn of it are there and belong together.

    Metrics are in Git and may be another generator's, which another machine trained.
    """
    try:
        generator = Generator(output)
        measured = read_json(metrics, "run 'dvc repro gan'")
    except DeepChromeError:
        return None
    there = all(Path(plots_folder, name).is_file() for name in (CURVE, "verdict.txt"))
    return generator if there and generator.info.get("metrics") == measured else None


def train(
    trainer: Trainer, params: GanParams, log: GanLog, n_cells: int
) -> tuple[list[Step], bool]:
    """Train; return the steps taken and whether all losses stayed finite."""
    steps: list[Step] = []
    title = f"gan: {n_cells} cell types, {params.steps:,} steps"
    per_step = params.batch_size * (1 + CRITIC_STEPS)
    with progress(title, "genes", params.steps * per_step) as advance:
        try:
            for step in trainer.train():
                steps.append(step)
                advance(per_step)
                if step.step % CURVE_EVERY == 0:
                    row = mean_step(steps[-CURVE_EVERY:])
                    log.step(row)
                    advance(0, f"distance {row['distance']:.2f}")
                if step.step % max(1, params.steps // 5) == 0:
                    log.sheet(step.step, trainer.sheet())
        except DivergedError:
            return steps, False
    return steps, True


def measure(
    generator: Generator, test: Set, train_set: Set, rivals: Rivals, params: GanParams
) -> tuple[pd.DataFrame, tuple[Set, Set]]:
    """Measure as `generator_quality.measure` does, and show how far it is."""
    samples = len(quality.seeds(test, params.examples, params.seed))
    with progress("quality of what it generates", "samples", samples) as advance:
        return generator_quality.measure(
            generator, test, train_set, rivals, params.examples, params.seed, advance
        )


def draw_training(folder: Path, title: str) -> None:
    """Draw the training curve from its table, which has every digit."""
    table = pd.read_csv(folder / CURVE, float_precision="round_trip")
    figures.training(folder / "training.png", title, table)


def draw(
    folder: Path,
    title: str,
    generator: Generator,
    sample: tuple[Set, Set],
    train_set: Set,
    measured: pd.DataFrame,
    orientation: str,
) -> None:
    """Draw every figure of generated signals."""
    real, made = sample
    figures.means(folder / "means.png", title, made, real, orientation)
    figures.profiles(folder / "profiles.png", title, made, real, orientation)
    figures.correlation(folder / "correlation.png", title, made.X, real.X)
    chosen = made.rows(np.concatenate([np.flatnonzero(made.y == label)[:4] for label in (1, 0)]))
    closest = train_set.X[quality.nearest_genes(chosen, train_set)]
    names = [generator.cells[i] for i in chosen.cell]
    figures.genes(folder / "genes.png", title, chosen, closest, names, orientation)
    by_cell = {
        cell: [made.X[(made.cell == i) & (made.y == label)] for label in (1, 0)]
        for i, cell in enumerate(generator.cells)
    }
    figures.cells(folder / "cells.png", title, by_cell, orientation)
    frames = generator.way(0, WALK_GENES, FILM_FRAMES)
    every = (FILM_FRAMES - 1) // (WALK_FRAMES - 1)
    cell = generator.cells[0]
    figures.walk(folder / "walk.png", title, frames[::every], cell, orientation)
    figures.animation(folder / "walk.gif", title, frames, cell, orientation)
    figures.quality(folder / "quality.png", title, measured)
