"""interpret: what do the models look for? Attribution, occlusion, activation maximisation."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from deepchrome.console import console, progress, warn
from deepchrome.data.dataset import Dataset, origin
from deepchrome.errors import DeepChromeError
from deepchrome.figures import interpretation as figures
from deepchrome.files import Folder, replacing, write_json
from deepchrome.interpretation import tables, verdicts
from deepchrome.interpretation.explanation import Explanation, attribute
from deepchrome.interpretation.histone_code import Effects, correlations, marks_table
from deepchrome.interpretation.optima import Optima, optimise
from deepchrome.interpretation.summary import effects_of, mean_attention, mean_maps, summarise
from deepchrome.interpretation.threads import one_thread
from deepchrome.params import InterpretParams
from deepchrome.training.executor import cores
from deepchrome.training.jobs import choose_device
from deepchrome.training.store import Models, check_same_data

if TYPE_CHECKING:
    from deepchrome.interpretation.generator import Generator

PLOTS = (
    *(f"{name}.csv" for name in ("cells", "marks", "stability")),
    *(f"{name}.png" for name in ("attention", "code")),
    *(
        f"{name}.{kind}"
        for name in ("attribution", "maximisation", "occlusion")
        for kind in ("csv", "png")
    ),
    "verdict.txt",
)
_REDUCED = "the model sees one number a mark: positions are where that number comes from"


def run(
    params: InterpretParams,
    device: str,
    dataset: str = "data/dataset",
    models: str = "models/train",
    generator: str = "models/gan",
    metrics: str = "metrics/interpret.json",
    plots_folder: str = "plots/interpret",
) -> None:
    """Explain every model on test genes of its cell type and find what it takes for high and low.

    Writes attributions, effects by mark and their checks, optimised signals, figures and a verdict
    (docs/interpretation.md). Nothing is fitted on test genes. Without a trained generator its part
    is left out.
    """
    data = Dataset(dataset)
    trained = Models(models, choose_device(device))
    check_same_data(trained, data)
    source = read_generator(generator, trained)
    cells = trained.cells
    with (
        replacing(metrics, Folder(plots_folder, "interpret", PLOTS)) as (metrics_out, plots_out),
        progress("interpret", "models", len(cells) * len(trained.seeds)) as advance,
        side_by_side(trained.device) as apply,
    ):

        def look(name: str) -> tuple[Explanation, Optima]:
            cell = data.load(name)
            optima = optimise(trained, cell, params, source)
            return attribute(trained, cell, params, advance), optima

        explanations, optima = zip(*apply(look, cells), strict=True)
        effects = effects_of(explanations, optima)
        marks = marks_table(effects, data.info["orientation"] == "transcription")
        profiles = np.stack([one.profile for one in explanations])
        pairs = correlations(profiles, cells, trained.seeds)
        maps = pd.concat([one.table for one in optima])
        summary = {"dataset": data.hash} | summarise(explanations, marks, pairs, maps)
        plots_out.mkdir()
        write_tables(plots_out, explanations, marks, pairs, maps)
        draw(plots_out, data, trained, explanations, optima, effects, marks, maps)
        positions = trained.preprocessing.reduce is None
        model, source_said = trained.info["model"], origin(data.info)
        text = verdicts.looks_for(model, len(cells), source_said, positions, marks, maps, summary)
        (plots_out / "verdict.txt").write_text(text + "\n", encoding="utf-8")
        write_json(metrics_out, summary)
    console.print(text)


@contextmanager
def side_by_side(device: torch.device) -> Iterator[Callable[..., Iterable[Any]]]:
    """Offer a `map` that works on as many cell types at once as there are cores."""
    if device.type != "cpu":
        yield map
        return
    with one_thread(device), ThreadPoolExecutor(cores()) as pool:
        yield pool.map


def read_generator(path: str, trained: Models) -> "Generator | None":
    """Read the trained generator; None, and a warning, where there is none of use for the models.

    Raises DeepChromeError where it was trained on other data than they.
    """
    if not Path(path).exists():
        warn(
            f"{path}: no trained generator here (stage gan); signals are optimised without one only"
        )
        return None
    from deepchrome.interpretation.generator import Generator

    source = Generator(path, trained.device)
    if source.info["dataset"] != trained.info["dataset"]:
        raise DeepChromeError(
            f"{path}: this generator was trained on dataset {source.info['dataset']}, the models "
            f"in {trained.path} on {trained.info['dataset']}; run 'dvc repro gan'"
        )
    if source.state != "trained":
        warn(f"{path}: the generator has {source.state}; signals are optimised without it")
        return None
    absent = [cell for cell in trained.cells if cell not in source.cells]
    if absent:
        warn(f"{path}: the generator was not trained on {', '.join(absent)}")
    return source if len(absent) < len(trained.cells) else None


def write_tables(
    folder: Path,
    explanations: Sequence[Explanation],
    marks: pd.DataFrame,
    pairs: pd.DataFrame,
    maps: pd.DataFrame,
) -> None:
    """Write every table behind the figures."""
    columns = ["cell", *[name for name in maps.columns if name != "cell"]]
    written = {
        "attribution": tables.attribution_table(explanations),
        "cells": tables.cells_table(explanations),
        "occlusion": tables.regions_table(explanations),
        "marks": marks,
        "maximisation": maps[columns],
    }
    if len(pairs):
        written["stability"] = pairs
    for name, table in written.items():
        table.round(6).to_csv(folder / f"{name}.csv", index=False)


def draw(
    folder: Path,
    data: Dataset,
    trained: Models,
    explanations: Sequence[Explanation],
    optima: Sequence[Optima],
    effects: Effects,
    marks: pd.DataFrame,
    maps: pd.DataFrame,
) -> None:
    """Draw every figure."""
    title = f"{trained.info['model']}, {origin(data.info)}"
    orientation = data.info["orientation"]
    note = f"\n{_REDUCED}" if trained.preprocessing.reduce else ""
    means = mean_maps(optima)
    generated = (
        means["generator"]["high"] - means["generator"]["low"] if "generator" in means else None
    )
    figures.code(
        folder / "code.png", title, marks, effects.profile.mean(0), generated, orientation, note
    )
    figures.attribution(
        folder / "attribution.png",
        title,
        {one.cell: one.attribution[one.y == 1].mean(0) for one in explanations},
        orientation,
        note,
    )
    figures.occlusion(
        folder / "occlusion.png",
        title,
        np.mean([one.regions for one in explanations], axis=0),
        tables.cells_table(explanations),
        orientation,
    )
    over_cells = maps.drop(columns="cell").groupby(["method", "class"], as_index=False).mean()
    figures.maximisation(folder / "maximisation.png", title, means, over_cells, orientation)
    attention = mean_attention(explanations)
    if attention:
        figures.attention(folder / "attention.png", title, *attention, orientation)
