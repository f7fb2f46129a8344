"""interpret: what do the models look for? Attribution, occlusion, activation maximisation."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from deepchrome import MARKS, N_BINS, plots
from deepchrome.console import console, progress, warn
from deepchrome.dataset import CellType, Dataset
from deepchrome.errors import DeepChromeError
from deepchrome.files import replacing, write_json
from deepchrome.metrics import auroc
from deepchrome.params import InterpretParams
from deepchrome.trained import Models, check_same_data
from deepchrome.training import choose_device
from deepchrome.visualization import attribution as attributing
from deepchrome.visualization import figures
from deepchrome.visualization import maximisation as maximising
from deepchrome.visualization.histone_code import (
    Effects,
    correlations,
    marks_table,
    sentence,
)

if TYPE_CHECKING:
    from deepchrome.visualization.gan import Generator

OCCLUSION_BASELINES = 4
"""Genes that lend their parts to an occluded one, at most."""

CHECKED = 10
"""Genes of a model that are explained again with re-drawn weights."""

CLASSES = ("high", "low")


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
    found, maximised = [], []
    with (
        replacing(metrics, plots_folder) as (metrics_out, plots_out),
        progress("interpret", "models", len(cells) * len(trained.seeds)) as advance,
    ):
        for name in cells:
            cell = data.load(name)
            found.append(attribute(trained, cell, params, advance))
            maximised.append(maximise(trained, cell, params, source))
        plots_out.mkdir()
        effects = collect(found, maximised)
        marks = marks_table(effects)
        pairs = correlations(np.stack([one.profile for one in found]), cells, trained.seeds)
        maps = pd.concat([one.table for one in maximised])
        summary = summarise(data, found, marks, pairs, maps)
        write_tables(plots_out, found, marks, pairs, maps)
        draw(plots_out, data, trained, found, maximised, effects, marks, maps)
        text = verdict(data, trained, marks, maps, summary)
        (plots_out / "verdict.txt").write_text(text + "\n", encoding="utf-8")
        write_json(metrics_out, summary)
    console.print(text)


def read_generator(path: str, trained: Models) -> "Generator | None":
    """Read the trained generator; None, and a warning, where there is none for these cell types."""
    if not Path(path).exists():
        warn(
            f"{path}: no trained generator here (stage gan); signals are optimised without one only"
        )
        return None
    from deepchrome.visualization.gan import Generator

    source = Generator(path, trained.device)
    absent = [cell for cell in trained.cells if cell not in source.cells]
    if absent:
        warn(f"{path}: the generator was not trained on {', '.join(absent)}")
    return source if len(absent) < len(trained.cells) else None


@dataclass(frozen=True)
class Found:
    """What attribution and occlusion say of one cell type's models.

    `y`: shape=(genes,). `attribution`: mean over seeds, shape=(genes, bins, marks). `profile`:
    effects, shape=(seeds, bins, marks). `total`, `occlusion`, `auroc_lost`: of whole marks,
    shape=(seeds, marks). `regions`: effects, mean over seeds, shape=(regions, marks). `linear`:
    weights per SD, shape=(seeds or 1, marks). `error`: of completeness, relative, mean over seeds.
    `redrawn`, `between_seeds`: rank correlation of attributions with those of re-drawn weights and
    of other seeds (NaN with one). `attention`: of bins and of marks by class, of `attentive` only.
    """

    cell: str
    y: np.ndarray
    attribution: np.ndarray
    profile: np.ndarray
    total: np.ndarray
    occlusion: np.ndarray
    auroc_lost: np.ndarray
    regions: np.ndarray
    linear: np.ndarray
    error: float
    redrawn: float
    attention: dict[str, tuple[np.ndarray, np.ndarray]] | None


def log_signals(X: np.ndarray) -> np.ndarray:
    """Return log(1 + counts), float32."""
    return np.log1p(X.astype(np.float32))


def sample(y: np.ndarray, genes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw genes, half of them high where there are enough of each; positions in y, sorted."""
    parts = [rng.permutation(np.flatnonzero(y == label))[: genes // 2] for label in (1, 0)]
    return np.sort(np.concatenate(parts))


def attribute(trained: Models, cell: CellType, params: InterpretParams, advance: Any) -> Found:
    """Explain a sample of one cell type's test genes by each of its models."""
    rng = np.random.default_rng([params.seed, crc32(cell.cell.encode())])
    train, test = cell.part("train"), cell.part("test")
    for part, of in ((train, "training"), (test, "test")):
        if len(np.unique(part.y)) < 2:
            raise DeepChromeError(
                f"{cell.cell}: all {len(part.y)} {of} genes have one label; "
                "nothing to tell apart, leave the cell type out ('cells' in params.yaml)"
            )
    chosen = sample(test.y, params.genes, rng)
    y, device = test.y[chosen], trained.device
    x = torch.from_numpy(log_signals(test.X[chosen])).to(device)
    log_train = log_signals(train.X)
    drawn = attributing.baselines(train.y, len(x), params.baselines, rng)
    against = torch.from_numpy(log_train[drawn]).to(device)
    # the first few of each half
    k = min(OCCLUSION_BASELINES, params.baselines) // 2
    lent = torch.cat([against[:k], against[params.baselines // 2 :][:k]])
    whole = attributing.masks_of_marks(N_BINS, len(MARKS)).to(device)
    pieces = attributing.masks_of_regions(N_BINS, len(MARKS), maximising.REGIONS).to(device)
    signal = x.cpu().numpy()
    in_regions = maximising.region_means(signal)  # as the masks: region by region, mark by mark
    each: list[dict[str, Any]] = []
    attended = []
    for seed, number in enumerate(trained.seeds):
        score = attributing.scorer(trained, cell.cell, seed)
        attributed = attributing.integrated_gradients(score, x, against)
        got, expected = attributing.completeness(score, x, against, attributed)
        before = score(x).detach()
        after_whole = attributing.occluded(score, x, lent, whole)
        after_pieces = attributing.occluded(score, x, lent, pieces)
        change = (before - after_whole.mean(1)).T.cpu().numpy()  # (genes, marks)
        change_pieces = (before - after_pieces.mean(1)).T.cpu().numpy()
        values = attributed.cpu().numpy()
        own = auroc(y, before.cpu().numpy())
        weights = attributing.redrawn(trained, params.seed + 1_000 + number)
        other = attributing.scorer(trained, cell.cell, seed, weights)
        check = rng.permutation(len(x))[:CHECKED]
        meaningless = attributing.integrated_gradients(other, x[check], against[:, check])
        each.append(
            {
                "attribution": values,
                "profile": attributing.effect(values, signal),
                "total": attributing.effect(values.sum(1), signal.mean(1)),
                "occlusion": attributing.effect(change, signal.mean(1)),
                "regions": attributing.effect(change_pieces, in_regions),
                "auroc_lost": [
                    own - np.mean([auroc(y, one) for one in by_baseline])
                    for by_baseline in after_whole.cpu().numpy()
                ],
                "error": float((got - expected).abs().mean() / expected.abs().mean()),
                "redrawn": attributing.rank_correlation(values[check], meaningless.cpu().numpy()),
            }
        )
        if trained.info["architecture"] == "attentive":
            attended.append(attributing.attention(trained, cell.cell, seed, x))
        advance()

    def stacked(name: str) -> np.ndarray:
        return np.stack([one[name] for one in each])

    linear = attributing.linear_weights(trained, cell.cell, torch.from_numpy(log_train).to(device))
    return Found(
        cell=cell.cell,
        y=y,
        attribution=stacked("attribution").mean(0),
        profile=stacked("profile"),
        total=stacked("total"),
        occlusion=stacked("occlusion"),
        auroc_lost=stacked("auroc_lost"),
        regions=stacked("regions").mean(0).reshape(maximising.REGIONS, len(MARKS)),
        linear=regression(log_train, train.y)[None] if linear is None else linear,
        error=float(stacked("error").mean()),
        redrawn=float(np.nanmean(stacked("redrawn"))),
        attention={
            label: (
                np.mean([bins[y == value].mean(0) for bins, _ in attended], axis=0),
                np.mean([marks[y == value].mean(0) for _, marks in attended], axis=0),
            )
            for label, value in zip(CLASSES, (1, 0), strict=True)
        }
        if attended
        else None,
    )


def regression(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return logistic regression's weight of each mark's mean log signal, per SD, shape=(marks,).

    x: training genes, shape=(genes, bins, marks). The yardstick beside models that have no weight
    of a mark.
    """
    features = StandardScaler().fit_transform(x.mean(1))
    return LogisticRegression().fit(features, y).coef_[0]


@dataclass(frozen=True)
class Maximised:
    """Optimised signals of one cell type.

    `maps`: mean log signals over starts, shape=(bins, marks), by method and class. `table`: cell,
    method, class, log_odds, surer_than, reads, likeness, distance, active_<mark>; means over
    starts. `generated`, `real`: high minus low of each mark's mean log signal in standard
    deviations over training genes, shape=(marks,); generated is None without a generator.
    """

    maps: dict[str, dict[str, np.ndarray]]
    table: pd.DataFrame
    generated: np.ndarray | None
    real: np.ndarray


def maximise(
    trained: Models, cell: CellType, params: InterpretParams, source: "Generator | None"
) -> Maximised:
    """Optimise signals for both classes, by the mean log-odds of the cell type's models."""
    train, test = cell.part("train"), cell.part("test")
    log_train, log_test = log_signals(train.X), log_signals(test.X)
    scores = [attributing.scorer(trained, cell.cell, seed) for seed in range(len(trained.seeds))]

    def score(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([one(x) for one in scores]).mean(0)

    @torch.no_grad()
    def scored(x: np.ndarray) -> np.ndarray:
        parts = torch.from_numpy(x).to(trained.device).split(attributing.ROWS)
        return torch.cat([score(part) for part in parts]).cpu().numpy()

    n, device = params.starts, trained.device
    high = torch.arange(2 * n, device=device) < n
    random = torch.Generator().manual_seed(params.seed)
    start = torch.rand(2 * n, N_BINS, len(MARKS), generator=random).to(device)
    by_method = {"unconstrained": maximising.maximise(score, start, high).cpu().numpy()}
    if source is not None and cell.cell in source.cells:
        where = torch.full((2 * n,), source.cells.index(cell.cell), device=device)
        z = torch.randn(2 * n, source.latent, generator=random).to(device)
        _, made = maximising.maximise_latent(
            score, lambda z: source.log_counts(z, high.long(), where), z, high
        )
        by_method["generator"] = made.cpu().numpy()

    held_out = {label: scored(log_test[test.y == value]) for label, value in _VALUES.items()}
    real = {label: log_train[train.y == value].mean(0) for label, value in _VALUES.items()}
    reads = {label: train.X[train.y == value].mean() for label, value in _VALUES.items()}
    usual = float(np.median(maximising.distances(log_test, log_train)))
    rows = []
    for method, maps in by_method.items():
        for label, mine in zip(CLASSES, (maps[:n], maps[n:]), strict=True):
            sign = 1 if label == "high" else -1
            odds = scored(mine)
            rows.append(
                {
                    "method": method,
                    "class": label,
                    "log_odds": odds.mean(),
                    "surer_than": (sign * held_out[label] < sign * odds.mean()).mean(),
                    "reads": np.expm1(mine).mean() / reads[label],
                    "likeness": np.mean([_correlation(one, real[label]) for one in mine]),
                    "distance": maximising.distances(mine, log_train).mean() / usual,
                    **_active(mine),
                }
            )
    rows += [
        {
            "method": "real",
            "class": label,
            "log_odds": held_out[label].mean(),
            "surer_than": np.nan,
            "reads": 1.0,
            "likeness": 1.0,
            "distance": 1.0,
            **_active(log_train[train.y == value]),
        }
        for label, value in _VALUES.items()
    ]
    means = {
        method: {"high": maps[:n].mean(0), "low": maps[n:].mean(0)}
        for method, maps in by_method.items()
    }
    sd = log_train.mean(1).std(0)

    def difference(of: dict[str, np.ndarray]) -> np.ndarray:
        change = (of["high"] - of["low"]).mean(0)
        return np.divide(change, sd, out=np.zeros_like(change), where=sd > 1e-6)

    return Maximised(
        maps={**means, "real": real},
        table=pd.DataFrame(rows).assign(cell=cell.cell),
        generated=difference(means["generator"]) if "generator" in means else None,
        real=difference(real),
    )


_VALUES = dict(zip(CLASSES, (1, 0), strict=True))


def _active(maps: np.ndarray) -> dict[str, float]:
    counts = maximising.mark_frequency(maps).mean(0)
    return {f"active_{mark}": float(count) for mark, count in zip(MARKS, counts, strict=True)}


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Correlate two maps over bins and marks; 0 for an empty one, which is like nothing."""
    return (
        float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
    )


def collect(found: list[Found], maximised: list[Maximised]) -> Effects:
    """Put the effects of all models side by side."""
    generated = [one.generated for one in maximised if one.generated is not None]
    return Effects(
        profile=np.concatenate([one.profile for one in found]),
        attribution=np.concatenate([one.total for one in found]),
        occlusion=np.concatenate([one.occlusion for one in found]),
        auroc_lost=np.concatenate([one.auroc_lost for one in found]),
        linear=np.concatenate([one.linear for one in found]),
        generator=np.stack(generated) if generated else None,
        real=np.stack([one.real for one in maximised]),
    )


def summarise(
    data: Dataset, found: list[Found], marks: pd.DataFrame, pairs: pd.DataFrame, maps: pd.DataFrame
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
    folder: Path, found: list[Found], marks: pd.DataFrame, pairs: pd.DataFrame, maps: pd.DataFrame
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
    found: list[Found],
    maximised: list[Maximised],
    effects: Effects,
    marks: pd.DataFrame,
    maps: pd.DataFrame,
) -> None:
    """Draw every figure."""
    title = f"{trained.info['model']}, {plots.describe(data.info)}"
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
        f". {_REDUCED}" if trained.preprocessing.reduce else "",
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


def _mean_maps(maximised: list[Maximised]) -> dict[str, dict[str, np.ndarray]]:
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
    free = maps[maps["method"] == "unconstrained"].groupby("class").mean(numeric_only=True)
    text = (
        f"What {trained.info['model']} looks for in {n} cell type{'s' * (n > 1)} of "
        f"{plots.describe(data.info)}: {said}. {counted} agree on the direction of "
        f"{summary['marks_agreeing']} of {len(marks)} marks; attributions sum to the difference in "
        f"log-odds within {summary['completeness_error']:.1%}, {stable}, and re-drawn weights "
        f"destroy them (rank correlation {summary['redrawn_correlation']:+.2f}). "
        f"Optimised freely, a signal with {free.loc['high', 'reads']:.0%} of the reads of high "
        f"genes and little likeness (r = {free.loc['high', 'likeness']:.2f}) is called high with "
        f"log-odds {free.loc['high', 'log_odds']:+.1f}"
    )
    made = maps[maps["method"] == "generator"].groupby("class").mean(numeric_only=True)
    if len(made):
        text += (
            f"; among the generator's signals the best has {made.loc['high', 'reads']:.0%} of the "
            f"reads, r = {made.loc['high', 'likeness']:.2f} and {made.loc['high', 'log_odds']:+.1f}"
        )
    return text + "."


def _rounded(value: Any) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
