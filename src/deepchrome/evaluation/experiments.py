"""DVC experiments: reads what they predicted, where it lies; the workspace stays as it is."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.evaluation import predictions
from deepchrome.evaluation.metrics import auroc
from deepchrome.files import Fields, parse_json
from deepchrome.yaml_files import parse_yaml

WORKSPACE = "workspace"
DATA_FIELDS = ("source", "labels", "split", "orientation", "h3k4me3_halved", "values", "cells")
"""What `dataset.json` says of the data, in the order in which differences are reported."""
ROUNDING = 1e-3
"""AUROC: by so much the same models may score differently in batches of another size."""
ADVICE = "run it again ('dvc repro'), or leave it out"


@dataclass(frozen=True)
class CellScores:
    """The test genes of one cell type, scored by one or more models.

    gene_id, label: shape=(genes,). score: shape=(models, genes). seed: shape=(models,).
    """

    gene_id: np.ndarray
    label: np.ndarray
    score: np.ndarray
    seed: np.ndarray

    def auroc(self) -> dict[int, float]:
        """Return the AUROC by seed, each a mean over that seed's models."""
        each = [auroc(self.label, one) for one in self.score]
        return pd.Series(each).groupby(self.seed).mean().to_dict()


@dataclass(frozen=True)
class Experiment:
    """The results of an experiment, as far as a comparison needs them.

    settings: of params.yaml, those that make the data, such as `data.raw`. dataset, model: the
    content of dataset.json and model.json. scores: by tested cell type. between: mean AUROC on
    other cell types. seconds: the training time. Either is NaN where it is not known.
    """

    name: str
    settings: dict[str, Any]
    protocol: str
    dataset: dict[str, Any]
    model: dict[str, Any]
    scores: dict[str, CellScores]
    between: float
    seconds: float


def experiment_names() -> list[str]:
    """Return the experiments of the current commit, as `dvc exp list` does."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            by_commit = repo.experiments.ls()
    except DvcException as error:
        raise DeepChromeError(f"no experiments can be read here: {error}") from None
    return sorted(name for found in by_commit.values() for name, _ in found)


def read(name: str, between: bool) -> Experiment:
    """Read one experiment's results and check that they belong together.

    between: read the scores by models of other cell types instead of the cell type's own.
    """
    stage = "cross_cell" if between else "evaluate"
    predicted = f"predictions/{stage}.parquet"
    get = reader(name)

    def found(path: str) -> Fields:
        return parse_json(get(path), f"{name}: {path}", ADVICE)

    params = Fields(
        parse_yaml(get("params.yaml"), f"{name}: params.yaml"), f"{name}: params.yaml", ADVICE
    )
    model = found("models/train/model.json")
    dataset = found("data/dataset/dataset.json")
    evaluated = found("metrics/evaluate.json")
    for path, hashed in (
        ("models/train", model["dataset"]),
        ("metrics/evaluate.json", evaluated["dataset"]),
    ):
        if hashed != dataset["hash"]:
            raise DeepChromeError(
                f"{name}: {path} is of dataset {hashed}, but data/dataset is {dataset['hash']}; "
                f"{ADVICE}"
            )
    if name == WORKSPACE:
        check_evaluated(stage)
    crossed = Fields({}, f"{name}: metrics/cross_cell.json", ADVICE)
    try:
        crossed = found("metrics/cross_cell.json")
    except DeepChromeError:
        if between:
            raise
    within = crossed.get("within_mean", -1)
    if not between and abs(within - evaluated["auroc"]) > ROUNDING:
        crossed.clear()  # left by the run that this experiment started from
    scores = scores_of(f"{name}: {predicted}", get(predicted), between)
    reported = crossed["between_mean"] if between else evaluated["auroc"]
    mean = float(np.mean([np.mean(list(one.auroc().values())) for one in scores.values()]))
    if abs(mean - reported) > 1e-5:
        raise DeepChromeError(
            f"{name}: {predicted} has a mean AUROC of {mean:.6f}, metrics/{stage}.json says "
            f"{reported:.6f}: they are of different runs; {ADVICE}"
        )
    of_others = crossed.get("between_mean")
    return Experiment(
        name,
        {
            f"{section}.{key}": value
            for section in ("data", "simulate")
            for key, value in params[section].items()
        },
        params["protocol"],
        dataset,
        model,
        scores,
        np.nan if of_others is None else of_others,
        training_seconds(Path("runs") / name),
    )


def reader(name: str) -> Callable[[str], bytes]:
    """Return a function that reads a file of an experiment by its path in the project."""
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    @cache
    def files() -> DVCFileSystem:
        return DVCFileSystem(rev=name)

    def read(path: str) -> bytes:
        try:
            if name == WORKSPACE:
                return Path(path).read_bytes()
            return bytes(files().read_bytes(path))
        except (FileNotFoundError, DataIndexDirError):
            raise DeepChromeError(
                f"{name}: no {path} there, or not in DVC's cache. Run it ('dvc exp run'), fetch it "
                f"('dvc exp pull <remote> {name}'), or leave it out"
            ) from None
        except DvcException as error:
            known = [*experiment_names(), WORKSPACE]
            raise DeepChromeError(
                f"{name}: {error}{nearest(name, known)} Experiments of this commit: "
                f"{listing(known, 20)}"
            ) from None

    return read


def check_evaluated(stage: str) -> None:
    """Refuse a workspace whose predictions are of earlier models or of earlier data."""
    from dvc.repo import Repo

    with Repo() as repo:
        status = repo.status(targets=[stage])
    changed = [
        path
        for entry in status.get(stage, [])
        if isinstance(entry, dict)
        for path in entry.get("changed deps", {})
        if path in ("models/train", "data/dataset")
    ]
    if changed:
        raise DeepChromeError(
            f"{WORKSPACE}: {listing(changed)} changed since '{stage}' ran; run 'dvc repro {stage}'"
        )


def scores_of(source: str, content: bytes, between: bool) -> dict[str, CellScores]:
    """Return the scores of each cell type's test genes from a file of predictions.

    between: by the models of the other cell types; otherwise by the cell type's own. source: what
    to call the file in a message.
    """
    table = predictions.read(source, content)
    other = table["train_cell"] != table["test_cell"]
    table = table[(table["split"] == "test") & (other if between else ~other)]
    if table.empty:
        raise DeepChromeError(
            f"{source}: no predictions of {'other cell types' if between else 'test genes'}"
        )
    return scores_by_cell(source, table)


def scores_by_cell(source: str, table: pd.DataFrame) -> dict[str, CellScores]:
    """Return the scores of each cell type from rows of predictions of its test genes."""
    found = {}
    for cell, rows in table.groupby("test_cell"):
        wide = rows.pivot(index=["seed", "train_cell"], columns="gene_id", values="log_odds")
        if wide.isna().any(axis=None):
            raise DeepChromeError(f"{source}: not every model scored every test gene of {cell}")
        label = rows.drop_duplicates("gene_id").set_index("gene_id")["label"][wide.columns]
        if label.nunique() < 2 or label.value_counts().min() < 2:
            raise DeepChromeError(
                f"{source}: {cell} has {int((label == 1).sum())} high and "
                f"{int((label == 0).sum())} low test genes; expected two of each at least"
            )
        found[str(cell)] = CellScores(
            wide.columns.to_numpy(),
            label.to_numpy(),
            wide.to_numpy(),
            wide.index.get_level_values("seed").to_numpy(),
        )
    return found


def training_seconds(folder: Path) -> float:
    """Return how long the training that wrote these TensorBoard events took; NaN without any.

    Metrics and models hold no times: equal runs must give equal bytes. Each file of events is a
    start of the train stage. A finished one ends with the hyperparameters, so the time is that of
    the last finished one and of the interrupted ones before it that it went on from.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    spans = []
    for path in folder.glob("events.out.tfevents.*"):
        events = EventAccumulator(str(path), size_guidance={"scalars": 1}).Reload()
        tags = events.Tags()["scalars"]
        if tags:  # of each tag the last event is kept
            last = max(events.Scalars(tag)[-1].wall_time for tag in tags)
            first = events.FirstEventTimestamp()
            spans.append((first, last - first, "hparam/valid_auroc" in tags))
    seconds, total = np.nan, 0.0
    for _, span, finished in sorted(spans):
        total += span
        if finished:
            seconds, total = total, 0.0
    return seconds


def check_comparable(experiments: Sequence[Experiment]) -> None:
    """Refuse experiments on different data, labels or splits, and say what differs in which."""
    groups: dict[str, list[Experiment]] = {}
    for one in experiments:
        groups.setdefault(one.dataset["hash"], []).append(one)
    if len(groups) > 1:
        largest = max(groups.values(), key=len)
        lines = [
            f"  {one.name}: {difference}"
            for one in experiments
            if one.dataset["hash"] != largest[0].dataset["hash"]
            for difference in differences(one, largest[0])
        ]
        advice = "; ".join(
            f"deepchrome compare {' '.join(one.name for one in group)}"
            for group in groups.values()
            if len(group) > 1
        )
        raise DeepChromeError(
            f"these experiments were run on different data. Beside {largest[0].name}:\n"
            + "\n".join(lines)
            + "\nCompare those that share data"
            + (f": {advice}" if advice else ", or run them again with the same data and cells")
        )
    first = experiments[0]
    for one in experiments[1:]:
        for cell in sorted(first.scores.keys() | one.scores.keys()):
            mine, other = first.scores.get(cell), one.scores.get(cell)
            if mine is None or other is None:
                lacking = first if mine is None else one
                raise DeepChromeError(
                    f"{lacking.name}: no predictions of cell type {cell}, which "
                    f"{(one if mine is None else first).name} has; {ADVICE}"
                )
            same_genes = np.array_equal(mine.gene_id, other.gene_id)
            if not same_genes or not np.array_equal(mine.label, other.label):
                what = "labels" if same_genes else "test genes"
                raise DeepChromeError(
                    f"{one.name}: other {what} of {cell} than {first.name} has "
                    f"({len(other.gene_id):,} genes against {len(mine.gene_id):,}); "
                    f"{ADVICE}"
                )


def differences(one: Experiment, other: Experiment) -> list[str]:
    """Say in which respects the data of one experiment are not those of the other."""

    def shown(value: Any) -> str:
        return f"{len(value)} ({listing(value)})" if isinstance(value, list) else str(value)

    def between(mine: dict[str, Any], theirs: dict[str, Any], keys: Iterable[str]) -> list[str]:
        return [
            f"{key} is {shown(mine.get(key))}, not {shown(theirs.get(key))}"
            for key in keys
            if mine.get(key) != theirs.get(key)
        ]

    found = between(one.dataset, other.dataset, DATA_FIELDS)
    found = found or between(one.settings, other.settings, one.settings)
    return found or [
        f"content {one.dataset['hash']}, not {other.dataset['hash']}, though described alike: "
        "other genes, signals, labels or splits"
    ]
