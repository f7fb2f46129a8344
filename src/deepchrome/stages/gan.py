"""gan: signals of high and low genes, generated, and how far to trust them."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.func import functional_call

from deepchrome import MARKS
from deepchrome.console import console, progress, warn
from deepchrome.data.dataset import CellType, Dataset, check_validated, origin
from deepchrome.errors import DeepChromeError, nearest
from deepchrome.figures import generated as gan_figures
from deepchrome.files import replacing, write_json
from deepchrome.interpretation import generator as gan
from deepchrome.interpretation import quality
from deepchrome.interpretation.generator import Examples, Generator, Guide, Step, Trainer
from deepchrome.interpretation.quality import Rivals, Set
from deepchrome.models import margin
from deepchrome.params import GanParams
from deepchrome.training.executor import cores, one_beside
from deepchrome.training.fit import choose_device
from deepchrome.training.store import NETWORK, Models, check_same_data
from deepchrome.training.tensorboard import GanLog

LEAST_DIVERSITY = 0.5
"""Of generated examples over real ones; below it the generator has collapsed."""

LARGEST_SHIFT = 1.0
"""Of a mark's mean log signal against training genes; above it the generator has diverged."""

LEAST_DIFFERENCE = np.log(1.15)
"""Of the log of mean signals of high and of low genes, to be worth a word."""

CURVE_EVERY = 10
"""Steps averaged to one row of the training curve."""

WALK_GENES, WALK_FRAMES, FILM_FRAMES = 4, 7, 19

CODE = (
    "interpretation/generator.py",
    "figures/generated.py",
    "interpretation/quality.py",
    "stages/gan.py",
)
"""What its outputs depend on, beside data and parameters."""

Row = dict[str, Any]


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
    drawn. Nothing is done where the earlier output has the same data, settings and code.
    """
    data = Dataset(dataset)
    check_validated(data, validated)
    on = choose_device(device)
    names = choose_cells(params, data)
    guide = read_guide(models, data, names, on) if params.guidance else None
    key = content_key(params, data, models if guide else None)
    if kept(key, output, metrics, plots_folder):
        console.print(f"{output}: trained before, with the same data, settings and code; kept")
        return
    cells = [data.load(cell) for cell in names]
    train_set, test = as_set(cells, "train"), as_set(cells, "test")
    values = str(data.info["values"])
    with (
        replacing(output, metrics, plots_folder) as (out, metrics_out, plots_out),
        GanLog(params) as log,
        one_beside() as pool,
    ):
        # rivals know nothing of the generator: they are measured on another core while it trains
        rivals = pool.submit(
            quality.compare_rivals, train_set, test, params.examples, params.seed, cores() - 1
        )
        plots_out.mkdir()
        title = origin(data.info)
        trainer = Trainer(Examples.of(cells, "train", on), params, values, guide)
        curve, finite = train(trainer, params, log, len(cells))
        curve.to_csv(plots_out / "training.csv", index=False)
        gan_figures.training(plots_out / "training.png", title, curve)
        state = "trained" if finite else "diverged"
        if finite:
            state = check(trainer, train_set, values, params.seed)
        info = {
            "cells": names,
            "marks": list(MARKS),
            "values": values,
            "state": state,
            "orientation": data.info["orientation"],
            "dataset": data.hash,
            "settings": params.model_dump(),
            "key": key,
        }
        gan.save(out, trainer.network, info)
        summary: Row = {"dataset": data.hash, "state": state}
        if state == "trained":
            generator = Generator(out, on)
            measured, sample = measure(generator, test, train_set, rivals.result(), params)
            measured.round(6).to_csv(plots_out / "quality.csv", index=False)
            summary |= scalars(measured)
            draw(plots_out, title, generator, sample, train_set, measured, data.info)
            verdict = f"{shown(*sample)} {say(measured.set_index('measure'))}"
        else:
            verdict = (
                f"The generator has {state}: its signals mean nothing and are not drawn. Try a "
                "lower gan.learning_rate, another gan.seed or more gan.steps."
            )
            warn(verdict)
        (plots_out / "verdict.txt").write_text(verdict + "\n", encoding="utf-8")
        write_json(metrics_out, summary)
        write_json(out / "model.json", info | {"metrics": summary})
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
    """Return the trained classifiers of these cell types, as `gan.Trainer` asks for them.

    With several seeds the first one's.
    """
    models = Models(path, device)
    check_same_data(models, data)
    models.network.requires_grad_(False)
    rows = [models.index(cell) for cell in names]

    def guide(signals: torch.Tensor, cell: int) -> torch.Tensor:
        mine = {name: tensor[rows[cell], 0] for name, tensor in models.tensors.items()}
        shift, scale = mine.pop("shift"), mine.pop("scale")
        weights = {name.removeprefix(NETWORK): weight for name, weight in mine.items()}
        x = (models.preprocessing.features(signals) - shift) / scale
        return margin(functional_call(models.network, weights, (x,)))

    return guide


def content_key(params: GanParams, data: Dataset, models: str | None) -> str:
    """Return a hash of all that decides the outputs: data, settings, code and the guide."""
    digest = hashlib.sha256(torch.__version__.encode())
    digest.update(data.hash.encode() + params.model_dump_json().encode())
    package = Path(__file__).parents[1]
    code = [package / name for name in CODE]
    guide = [Path(models) / "weights.safetensors"] if models else []
    for path in [*sorted(code), *guide]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def kept(key: str, output: str, metrics: str, plots_folder: str) -> bool:
    """Tell whether the outputs are there and were made with the same key.

    Metrics are in Git and may be another generator's, which another machine trained.
    """
    try:
        info, measured = (
            json.loads(path.read_text(encoding="utf-8"))
            for path in (Path(output) / "model.json", Path(metrics))
        )
    except (OSError, json.JSONDecodeError):
        return False
    there = (Path(output) / "weights.safetensors", Path(plots_folder, "verdict.txt"))
    same = info.get("key") == key and info.get("metrics") == measured
    return same and all(path.is_file() for path in there)


def train(
    trainer: Trainer, params: GanParams, log: GanLog, n_cells: int
) -> tuple[pd.DataFrame, bool]:
    """Train; return the curve and whether all losses stayed finite."""
    steps: list[Step] = []
    finite = True
    title = f"gan: {n_cells} cell types, {params.steps:,} steps"
    if trainer.examples.x.device.type == "cpu":
        torch.set_num_threads(1)  # networks this small lose more to a second one than they gain
    per_step = params.batch_size * (1 + gan.CRITIC_STEPS)
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
                    log.sheet(step.step, sheet(trainer))
        except gan.DivergedError:
            finite = False
    rows = [
        mean_step(steps[start : start + CURVE_EVERY]) for start in range(0, len(steps), CURVE_EVERY)
    ]
    return pd.DataFrame(rows, columns=list(Step.__dataclass_fields__)), finite


def mean_step(steps: list[Step]) -> Row:
    """Return a row of the training curve: the last step's number, and means over the steps."""
    means = pd.DataFrame(steps).mean().round(6).to_dict()
    return means | {"step": steps[-1].step}


def sheet(trainer: Trainer) -> np.ndarray:
    """Return log signals of a few generated genes, half of them high, of the first cell type."""
    condition = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0], device=trainer.examples.x.device)
    state = torch.get_rng_state()  # looking on must not change what is trained
    signals = gan.generate(trainer.network, condition, trainer.values)
    torch.set_rng_state(state)
    return quality.log_signals(signals)


def as_set(cells: list[CellType], split: str) -> Set:
    """Return the genes of one split of all cell types."""
    parts = [cell.part(split) for cell in cells]
    sizes = [len(part.y) for part in parts]
    return Set(
        np.concatenate([part.X for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.repeat(np.arange(len(parts)), sizes),
        np.concatenate([part.gene_id for part in parts]).astype(str),
    )


def generated(network: gan.Network, like: Set, values: str, seed: int) -> Set:
    """Generate one signal for each label and cell type of `like`."""
    device = network.profile.device
    condition = gan.conditions(
        torch.from_numpy(like.y.astype(np.int64)), torch.from_numpy(like.cell)
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return like.with_signals(gan.generate(network, condition.to(device), values))


def check(trainer: Trainer, train_set: Set, values: str, seed: int) -> str:
    """Return "trained", "collapsed" or "diverged", by the generator's signals beside training's."""
    rows = np.random.default_rng(seed).permutation(len(train_set.y))[:4000]
    real = train_set.rows(rows)
    made = generated(trainer.network, real, values, seed)
    x, of_real = quality.log_signals(made.X), quality.log_signals(real.X)
    shift = np.abs(x.mean((0, 1)) - of_real.mean((0, 1))).max()
    if not math.isfinite(shift) or shift > LARGEST_SHIFT:
        return "diverged"
    return "trained" if quality.diversity(made, real) >= LEAST_DIVERSITY else "collapsed"


def measure(
    generator: Generator, test: Set, train_set: Set, rivals: Rivals, params: GanParams
) -> tuple[pd.DataFrame, tuple[Set, Set]]:
    """Compare generated signals with held-out genes, beside what `quality.compare_rivals` found.

    Returns rows of measure, value (of the generator), real, independent_bins, gaussian and what;
    and the last sample: real, generated.
    """
    found: list[Row] = []
    seeds = quality.seeds(test, params.examples, params.seed)
    with progress("quality of what it generates", "samples", len(seeds)) as advance:
        for seed in seeds:
            real, other = quality.halves(test, params.examples, seed)
            made = generated(generator.network, other, generator.values, seed)
            found.append(quality.compare(real, made, train_set, seed))
            advance()
        profiles = quality.profiles_over_cuts(
            test,
            params.examples,
            params.seed,
            lambda other, seed: generated(generator.network, other, generator.values, seed),
        )
        like_train = generated(generator.network, train_set, generator.values, params.seed)
        useful = quality.classifier_auroc(like_train, test)
    mine = pd.DataFrame(found).mean().to_dict() | profiles | {"train_on_generated": useful}
    table = pd.DataFrame({"value": mine, **rivals})
    table = table.rename_axis("measure").reset_index()
    table["what"] = table["measure"].map(WHAT)
    return table, (real, made)


WHAT = {
    "separability": "AUROC of boosted trees told to separate from real; 0.5: they cannot",
    "separability_logistic": "the same by logistic regression",
    "mmd": "squared maximum mean discrepancy from real; 0: none",
    "profile_correlation": "class-mean profiles against real, mean over marks and classes, 20 cuts",
    "profile_correlation_lowest": "the same, lowest of marks and classes",
    "mark_correlation_difference": "correlations between marks against real, largest difference",
    "precision": "share within the neighbourhood of a real example",
    "recall": "share of real examples within the neighbourhood of one of these",
    "nearest_training_gene": "median distance to the nearest training gene; far below real: copied",
    "train_on_generated": "AUROC on real test genes of a classifier trained on these",
}


def scalars(measured: pd.DataFrame) -> Row:
    """Return the few numbers that DVC tracks."""
    table = measured.set_index("measure")
    rivals = table[["independent_bins", "gaussian"]]
    row = table["value"]
    return {
        "separability": round(float(row["separability"]), 6),
        "separability_best_rival": round(float(rivals.loc["separability"].min()), 6),
        "profile_correlation": round(float(row["profile_correlation"]), 6),
        "profile_correlation_real": round(float(table["real"]["profile_correlation"]), 6),
        "train_on_generated_auroc": round(float(row["train_on_generated"]), 6),
        "train_on_real_auroc": round(float(table["real"]["train_on_generated"]), 6),
        "nearest_training_gene_ratio": round(
            float(row["nearest_training_gene"] / table["real"]["nearest_training_gene"]), 6
        ),
    }


def shown(real: Set, made: Set) -> str:
    """Say which marks high genes have more and less of than low ones, generated and real."""
    ratios = {}
    for kind, one in (("made", made), ("real", real)):
        mean = [one.X[one.y == label].mean((0, 1), dtype=np.float64) for label in (1, 0)]
        ratios[kind] = mean[0] / np.maximum(mean[1], 1e-9)
    parts: dict[str, list[str]] = {"more": [], "less": []}
    for m in np.argsort(-np.abs(np.log(np.maximum(ratios["made"], 1e-9)))):
        made_ratio, real_ratio = ratios["made"][m], ratios["real"][m]
        if abs(np.log(max(made_ratio, 1e-9))) > LEAST_DIFFERENCE:
            side = "more" if made_ratio > 1 else "less"
            parts[side].append(f"{MARKS[m]} ({made_ratio:.1f} times; held-out {real_ratio:.1f})")
    told = [f"{side} {', '.join(marks)}" for side, marks in parts.items() if marks]
    what = "; and ".join(told) if told else "about as much of every mark"
    return f"High genes, as generated, have {what} than low ones."


def say(table: pd.DataFrame) -> str:
    """Say in a few sentences how far the generated signals can be trusted."""
    value, real = table["value"], table["real"]
    rival = table.loc["separability", ["independent_bins", "gaussian"]].min()
    apart = float(value["separability"])
    trust = (
        "are hard to tell from real ones"
        if apart < 0.65
        else "resemble real ones, but trees tell many apart"
        if apart < 0.85
        else "are easily told from real ones and should not be trusted"
    )
    ratio = value["nearest_training_gene"] / real["nearest_training_gene"]
    copies = "does not copy" if ratio > 0.8 else "stays suspiciously close to"
    return (
        f"Generated signals {trust}: boosted trees separate them with AUROC {apart:.3f} (the "
        f"better of two rivals {rival:.3f}, real against real {real['separability']:.3f}). "
        f"Their class-mean profiles correlate with those of held-out genes by "
        f"{value['profile_correlation']:.3f} (real against real {real['profile_correlation']:.3f}),"
        f" and a classifier trained on them reaches AUROC {value['train_on_generated']:.3f} on "
        f"real test genes (trained on real ones {real['train_on_generated']:.3f}). The generator "
        f"{copies} training genes: its examples lie {ratio:.2f} times as far from the nearest one "
        "as held-out genes do."
    )


def draw(
    folder: Path,
    title: str,
    generator: Generator,
    sample: tuple[Set, Set],
    train_set: Set,
    measured: pd.DataFrame,
    info: dict[str, Any],
) -> None:
    """Draw every figure of generated signals."""
    real, made = sample
    orientation = str(info["orientation"])
    gan_figures.means(folder / "means.png", title, made, real, orientation)
    gan_figures.profiles(folder / "profiles.png", title, made, real, orientation)
    gan_figures.correlation(folder / "correlation.png", title, made.X, real.X)
    points, train_points = quality.pooled(made.X), quality.pooled(train_set.X)
    spread = train_points.std(0) + 1e-9
    shown = [np.flatnonzero(made.y == label)[:4] for label in (1, 0)]
    chosen = np.concatenate(shown)
    apart = quality.cdist(points[chosen] / spread, train_points / spread)
    same = (train_set.y == made.y[chosen][:, None]) & (train_set.cell == made.cell[chosen][:, None])
    closest = np.where(same, apart, np.inf).argmin(1)
    gan_figures.genes(
        folder / "genes.png",
        title,
        made.rows(chosen),
        train_set.X[closest],
        [generator.cells[i] for i in made.cell[chosen]],
        orientation,
    )
    by_cell = {
        cell: [made.X[(made.cell == i) & (made.y == label)] for label in (1, 0)]
        for i, cell in enumerate(generator.cells)
    }
    gan_figures.cells(folder / "cells.png", title, by_cell, orientation)
    frames = walk(generator, FILM_FRAMES)
    every = (FILM_FRAMES - 1) // (WALK_FRAMES - 1)
    cell = generator.cells[0]
    gan_figures.walk(folder / "walk.png", title, frames[::every], cell, orientation)
    gan_figures.animation(folder / "walk.gif", title, frames, cell, orientation)
    gan_figures.quality(folder / "quality.png", title, measured)


@torch.no_grad()
def walk(generator: Generator, frames: int) -> np.ndarray:
    """Return expected log signals on the way from low to high, in the first cell type.

    A few latent vectors stay as they are while the condition moves; shape=(frames, genes, bins,
    marks).
    """
    random = torch.Generator().manual_seed(generator.info["settings"]["seed"])
    z = torch.randn(WALK_GENES, generator.latent, generator=random).to(generator.device)
    found = [generator.between(z, 0, share).cpu().numpy() for share in np.linspace(0, 1, frames)]
    return np.stack(found)
