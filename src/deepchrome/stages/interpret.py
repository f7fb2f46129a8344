"""interpret: what do the models look for? Attribution, occlusion, activation maximisation."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from deepchrome import MARKS, N_BINS
from deepchrome.console import console, progress, warn
from deepchrome.data.dataset import Dataset, origin
from deepchrome.errors import DeepChromeError
from deepchrome.figures import interpretation as figures
from deepchrome.files import replacing, write_json
from deepchrome.interpretation import maximisation as maximising
from deepchrome.interpretation.findings import CLASSES, Found, Maximised, attribute, maximise
from deepchrome.interpretation.histone_code import Effects, correlations, marks_table, sentence
from deepchrome.params import InterpretParams
from deepchrome.training.executor import cores
from deepchrome.training.fit import choose_device
from deepchrome.training.store import Models, check_same_data

if TYPE_CHECKING:
    from deepchrome.interpretation.generator import Generator


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
        replacing(metrics, plots_folder) as (metrics_out, plots_out),
        progress("interpret", "models", len(cells) * len(trained.seeds)) as advance,
        side_by_side(trained.device) as apply,
    ):

        def look(name: str) -> tuple[Found, Maximised]:
            cell = data.load(name)
            optimised = maximise(trained, cell, params, source)
            return attribute(trained, cell, params, advance), optimised

        found, maximised = zip(*apply(look, cells), strict=True)
        plots_out.mkdir()
        effects = collect(found, maximised)
        oriented = data.info["orientation"] == "transcription"
        marks = marks_table(effects, oriented)
        pairs = correlations(np.stack([one.profile for one in found]), cells, trained.seeds)
        maps = pd.concat([one.table for one in maximised])
        summary = summarise(data, found, marks, pairs, maps)
        write_tables(plots_out, found, marks, pairs, maps)
        draw(plots_out, data, trained, found, maximised, effects, marks, maps)
        text = verdict(data, trained, marks, maps, summary)
        (plots_out / "verdict.txt").write_text(text + "\n", encoding="utf-8")
        write_json(metrics_out, summary)
    console.print(text)


@contextmanager
def side_by_side(device: torch.device) -> Iterator[Callable[..., Iterable[Any]]]:
    """Offer a `map` that works on as many cell types at once as there are cores.

    Each on one core: several cores on small batches cost more than they save.
    """
    if device.type != "cpu":
        yield map
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(cores()) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(threads)


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


def collect(found: Sequence[Found], maximised: Sequence[Maximised]) -> Effects:
    """Put the effects of all models side by side."""
    generated = [one.generated for one in maximised if one.generated is not None]
    return Effects(
        profile=np.concatenate([one.profile for one in found]),
        attribution=np.concatenate([one.total for one in found]),
        occlusion=np.concatenate([one.occlusion for one in found]),
        auroc_lost=np.concatenate([one.auroc_lost for one in found]),
        linear=np.concatenate([one.linear for one in found]),
        generator=np.stack(generated) if generated else None,
        genes=np.stack([one.genes for one in maximised]),
    )


def summarise(
    data: Dataset,
    found: Sequence[Found],
    marks: pd.DataFrame,
    pairs: pd.DataFrame,
    maps: pd.DataFrame,
) -> dict[str, object]:
    """Return the few numbers that DVC tracks."""
    stability, over = None, None
    for between in ("seeds", "cell types"):
        mine = pairs.loc[pairs["between"] == between, "correlation"]
        if over is None and len(mine):
            stability, over = _rounded(mine.mean()), between
    by_method = maps.groupby("method")[["likeness", "reads"]].mean()

    def of(method: str, column: str) -> float | None:
        return _rounded(by_method[column].get(method, np.nan))

    return {
        "dataset": data.hash,
        "marks_agreeing": int((marks["agree"] == marks["methods"]).sum()),
        "completeness_error": _rounded(np.mean([one.error for one in found])),
        "redrawn_correlation": _rounded(np.nanmean([one.redrawn for one in found])),
        "stability": stability,
        "stability_over": over,
        "likeness_unconstrained": of("unconstrained", "likeness"),
        "likeness_generator": of("generator", "likeness"),
        "reads_unconstrained": of("unconstrained", "reads"),
        "reads_generator": of("generator", "reads"),
    }


def write_tables(
    folder: Path,
    found: Sequence[Found],
    marks: pd.DataFrame,
    pairs: pd.DataFrame,
    maps: pd.DataFrame,
) -> None:
    """Write every table behind the figures."""
    rows = []
    for one in found:
        parts = {
            "high": one.attribution[one.y == 1].mean(0),
            "low": one.attribution[one.y == 0].mean(0),
            "effect": one.profile.mean(0),
        }
        rows.append(
            pd.DataFrame(
                {
                    "cell": one.cell,
                    "mark": np.tile(MARKS, N_BINS),
                    "bin": np.repeat(np.arange(1, N_BINS + 1), len(MARKS)),
                    **{name: values.ravel() for name, values in parts.items()},
                    "genes": len(one.y),
                }
            )
        )
    pd.concat(rows).round(6).to_csv(folder / "attribution.csv", index=False)
    by_cell = [
        {
            "cell": one.cell,
            "mark": mark,
            "attribution": one.total[:, i].mean(),
            "occlusion": one.occlusion[:, i].mean(),
            "auroc_lost": one.auroc_lost[:, i].mean(),
            "linear": one.linear[:, i].mean(),
        }
        for one, (i, mark) in product(found, enumerate(MARKS))
    ]
    pd.DataFrame(by_cell).round(6).to_csv(folder / "cells.csv", index=False)
    regions = [
        {"cell": one.cell, "mark": mark, "region": region + 1, "effect": one.regions[region, i]}
        for one, region, (i, mark) in product(found, range(maximising.REGIONS), enumerate(MARKS))
    ]
    pd.DataFrame(regions).round(6).to_csv(folder / "occlusion.csv", index=False)
    marks.round(6).to_csv(folder / "marks.csv", index=False)
    if len(pairs):
        pairs.round(6).to_csv(folder / "stability.csv", index=False)
    columns = ["cell", *[name for name in maps.columns if name != "cell"]]
    maps[columns].round(6).to_csv(folder / "maximisation.csv", index=False)


def draw(
    folder: Path,
    data: Dataset,
    trained: Models,
    found: Sequence[Found],
    maximised: Sequence[Maximised],
    effects: Effects,
    marks: pd.DataFrame,
    maps: pd.DataFrame,
) -> None:
    """Draw every figure."""
    title = f"{trained.info['model']}, {origin(data.info)}"
    orientation = data.info["orientation"]
    note = f"\n{_REDUCED}" if trained.preprocessing.reduce else ""
    means = _mean_maps(maximised)
    generated = (
        means["generator"]["high"] - means["generator"]["low"] if "generator" in means else None
    )
    figures.code(
        folder / "code.png", title, marks, effects.profile.mean(0), generated, orientation, note
    )
    figures.attribution(
        folder / "attribution.png",
        title,
        {one.cell: one.attribution[one.y == 1].mean(0) for one in found},
        orientation,
        f"\n{_REDUCED}" if trained.preprocessing.reduce else "",
    )
    lost = [
        {"cell": one.cell, "mark": mark, "auroc_lost": one.auroc_lost[:, i].mean()}
        for one, (i, mark) in product(found, enumerate(MARKS))
    ]
    figures.occlusion(
        folder / "occlusion.png",
        title,
        np.mean([one.regions for one in found], axis=0),
        pd.DataFrame(lost),
        orientation,
    )
    over_cells = maps.drop(columns="cell").groupby(["method", "class"], as_index=False).mean()
    figures.maximisation(folder / "maximisation.png", title, means, over_cells, orientation)
    attended = [one.attention for one in found if one.attention is not None]
    if attended:
        bins, marks_ = (
            {label: np.mean([one[label][part] for one in attended], axis=0) for label in CLASSES}
            for part in (0, 1)
        )
        figures.attention(folder / "attention.png", title, bins, marks_, orientation)


_REDUCED = "the model sees one number a mark: positions are where that number comes from"


def _mean_maps(maximised: Sequence[Maximised]) -> dict[str, dict[str, np.ndarray]]:
    """Average the maps over the cell types that have them."""
    methods = dict.fromkeys(method for one in maximised for method in one.maps)
    return {
        method: {
            label: np.mean(
                [one.maps[method][label] for one in maximised if method in one.maps], axis=0
            )
            for label in CLASSES
        }
        for method in methods
    }


def verdict(
    data: Dataset,
    trained: Models,
    marks: pd.DataFrame,
    maps: pd.DataFrame,
    summary: dict[str, Any],
) -> str:
    """Say in three sentences what the models look for and how far to trust it."""
    n = len(trained.cells)
    reduce = trained.preprocessing.reduce
    said = sentence(marks, positions=reduce is None)
    methods = int(marks["methods"].max())
    counted = {
        3: "Attribution, occlusion and linear weights",
        4: "Attribution, occlusion, linear weights and the generator's signals",
    }[methods]
    stable = (
        f"effects correlate {summary['stability']:.2f} between {summary['stability_over']}"
        + (" (one seed was trained)" if summary["stability_over"] == "cell types" else "")
        if summary["stability"] is not None
        else "with one model nothing can be said of stability"
    )
    error = max(summary["completeness_error"], 0.001)
    redrawn = summary["redrawn_correlation"]
    trust = "destroy them" if abs(redrawn) < 0.2 else "do not destroy them, so beware"
    text = (
        f"What {trained.info['model']} looks for in {n} cell type{'s' * (n > 1)} of "
        f"{origin(data.info)}: {said}. {counted} agree on the direction of "
        f"{summary['marks_agreeing']} of {len(marks)} marks; attributions sum to the difference in "
        f"log-odds within {error:.1%}, {stable}, and re-drawn weights {trust} (rank correlation "
        f"{redrawn:+.2f}). "
    )
    by_method = maps.groupby(["method", "class"]).mean(numeric_only=True)
    free = by_method.loc[("unconstrained", "high")]
    text += (
        f"Optimised freely, a signal with {free['reads']:.0%} of the reads of high genes and a "
        f"likeness of r = {free['likeness']:.2f} to their mean is called high with log-odds "
        f"{free['log_odds']:+.1f}"
    )
    if ("generator", "high") in by_method.index:
        made = by_method.loc[("generator", "high")]
        text += (
            f"; among the generator's signals the best has {made['reads']:.0%} of the reads, "
            f"r = {made['likeness']:.2f} and {made['log_odds']:+.1f}"
        )
    return text + "."


def _rounded(value: Any) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
