"""The training loop: many networks of one architecture, one for each job, at once.

Parameters are stacked along a leading axis of jobs and the loss is summed over jobs, so one
backward pass gives each job its own gradient. A job's trajectory does not depend on its company:
its initial weights, batch order, steps per epoch, schedule, best epoch and early stop are its own.
(Only dropout masks are drawn for all jobs of a group together.)
"""

import math
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from deepchrome.data.dataset import CellType, Dataset
from deepchrome.errors import DeepChromeError
from deepchrome.models.preprocessing import Preprocessing
from deepchrome.params import ModelParams
from deepchrome.training.checkpoints import Checkpoints
from deepchrome.training.ensemble import Networks, Optimizer, can_batch, network
from deepchrome.training.executor import cores, in_processes, report
from deepchrome.training.ranking import auroc_batched
from deepchrome.training.record import Graphs, Tapes

MIN_LEARNING_RATE = 1e-6
"""Where cosine annealing ends (DeepChrome 2.0)."""

ENOUGH = 8
"""Small networks that one process trains on a CPU before another is worth its start."""

SCORING_BATCH = 1024
"""Genes scored at a time on a GPU."""

SCORING_BATCH_CPU = 128
"""Genes with all bins scored at a time on a CPU: what a network makes of them fits its caches."""

GATHERED = 2**18
"""Numbers of input that are laid out at a time, for several steps together where they are few."""

OFTEN = 20
"""Steps of an epoch in which as many jobs take part that pay for recording one."""


@dataclass(frozen=True)
class Job:
    """One network to train.

    name: a cell type, or a training set's own name. seed: of its random numbers. cells: the cell
    types whose genes it learns from; by default the one that it is named after. examples: how many
    of their training genes, drawn at random; None takes all.
    """

    name: str
    seed: int
    cells: tuple[str, ...] = ()
    examples: int | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The cell types whose genes it learns from."""
        return self.cells or (self.name,)

    def stream(self, purpose: str) -> int:
        """Return a seed of this job's own for one purpose, the same whoever trains beside it."""
        key = zlib.crc32(f"{self.name}/{purpose}".encode())
        return int(np.random.SeedSequence([self.seed, key]).generate_state(1, np.uint64)[0] >> 1)


@dataclass
class Trained:
    """What a job ends with: the weights of its best epoch and how it got there."""

    job: Job
    weights: dict[str, np.ndarray]
    shift: np.ndarray
    scale: np.ndarray
    best_epoch: int = 0
    valid_auroc: float = -math.inf
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch of a group, for progress bars and TensorBoard.

    genes_seen: training genes that were computed on; 0 where the epoch was computed earlier.
    genes_left: at most, those that the group's models would still see without an early stop. going:
    the jobs that have not stopped.
    """

    epoch: int
    jobs: list[Job]
    train_loss: list[float]
    valid_auroc: list[float]
    genes_seen: int = 0
    genes_left: int = 0
    going: Sequence[Job] = ()


def replay(trained: Sequence[Trained]) -> Iterator[Epoch]:
    """Report again the epochs of models that were trained earlier."""
    for epoch in range(1, max((len(one.history) for one in trained), default=0) + 1):
        still = [one for one in trained if len(one.history) >= epoch]
        rows = [one.history[epoch - 1] for one in still]
        yield Epoch(
            epoch,
            [one.job for one in still],
            [row["train_loss"] for row in rows],
            [row["valid_auroc"] for row in rows],
        )


def choose_device(name: str) -> torch.device:
    """Return the device: "auto" takes a GPU where there is one.

    Raises DeepChromeError for "cuda" without one, and for any other name.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise DeepChromeError(f"device: found {name!r}, expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeepChromeError(
            "device: cuda: no CUDA GPU is available here; set device: auto or device: cpu"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def groups(
    jobs: Sequence[Job], n_parameters: int, cells_at_once: int | str, device: torch.device
) -> list[list[Job]]:
    """Cut the jobs into groups that train together.

    On a CPU a group's weights should stay in its caches: large networks train one by one, small
    ones together, but where there are many, in a group for each core. A GPU takes all there are, up
    to 100 million parameters.
    """
    if cells_at_once == "auto":
        size = max(1, (100_000_000 if device.type == "cuda" else 500_000) // n_parameters)
        if device.type == "cpu":
            size = min(size, max(ENOUGH, -(-len(jobs) // cores())))
    else:
        size = int(cells_at_once)
    return [list(jobs[start : start + size]) for start in range(0, len(jobs), size)]


@dataclass(frozen=True)
class _Task:
    """A group and all that a worker process needs to train it."""

    jobs: list[Job]
    data: Dataset
    params: ModelParams
    device: str
    precision: str
    checkpoints: Checkpoints | None


def train_groups(
    jobs: Sequence[Job],
    data: Dataset,
    params: ModelParams,
    device: torch.device,
    cells_at_once: int | str = "auto",
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    precision: str = "float32",
    checkpoints: Checkpoints | None = None,
) -> list[Trained]:
    """Train all jobs, group by group; on a CPU several groups at a time, in processes.

    Networks this small gain little from a second core (and lose much where it is busy), so each
    process computes on its share of the cores: one, where there are as many groups as cores.
    Returns one Trained a job, in order.
    """
    n_parameters = sum(p.numel() for p in network(params).parameters())
    if cells_at_once == "auto" and not can_batch(params):
        cells_at_once = 1
    tasks = [
        _Task(group, data, params, str(device), precision, checkpoints)
        for group in groups(jobs, n_parameters, cells_at_once, device)
    ]
    workers = min(cores(), len(tasks)) if device.type == "cpu" else 1
    if workers <= 1:
        return [one for task in tasks for one in _train(task, on_epoch)]
    return [
        one
        for group in in_processes(
            _train_in_worker,
            tasks,
            workers,
            on_epoch,
            "a training process was killed, perhaps for lack of memory; "
            "train fewer models together with train.cells_at_once",
            partial(_use_threads, max(1, cores() // workers)),
        )
        for one in group
    ]


def _use_threads(n: int) -> None:
    torch.set_num_threads(n)


def _train_in_worker(task: _Task) -> list[Trained]:
    return _train(task, report)


def _train(task: _Task, on_epoch: Callable[[Epoch], None]) -> list[Trained]:
    names = list(dict.fromkeys(cell for job in task.jobs for cell in job.sources))
    cells = _Loading(task.data, names, mark_by_mark=task.params.reduce is not None)
    device = torch.device(task.device)
    return fit(task.jobs, cells, task.params, device, on_epoch, task.precision, task.checkpoints)


@dataclass(frozen=True)
class _Loading(Mapping[str, CellType]):
    """Cell types, each loaded when it is looked at, and not kept."""

    data: Dataset
    names: list[str]
    mark_by_mark: bool

    def __getitem__(self, name: str) -> CellType:
        return self.data.load(name, self.mark_by_mark)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def fit(
    jobs: Sequence[Job],
    cells: Mapping[str, CellType],
    params: ModelParams,
    device: torch.device,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    precision: str = "float32",
    checkpoints: Checkpoints | None = None,
) -> list[Trained]:
    """Train one group of jobs, each on the training genes of its cell types.

    The epoch with the best AUROC on their validation genes is kept; a job stops after
    `params.patience` epochs without a better one. Genes of the test split are not looked at.
    cells: the data of every cell type that the jobs name, looked at one by one. precision:
    "float32"; "tf32" (matrix products on a GPU's tensor cores) or "bfloat16" (autocast). With
    `checkpoints`, an interrupted call goes on from the last one, with the same result. Returns one
    Trained a job, in order.
    """
    group = _Group(jobs, cells, params, device, precision)
    saved = checkpoints.load(group.jobs) if checkpoints else None
    if saved:
        group.restore(*saved)
        for epoch in replay(group.results):
            now = epoch.epoch == group.epoch
            left, going = (group.genes_left(), group.going()) if now else (0, ())
            on_epoch(replace(epoch, genes_left=left, going=going))
    last = time.monotonic()
    while group.active:
        on_epoch(group.train_epoch())
        if checkpoints and (not group.active or time.monotonic() - last > checkpoints.seconds):
            checkpoints.save(group.jobs, *group.state())
            last = time.monotonic()
    by_job = {one.job: one for one in group.results}
    return [by_job[job] for job in jobs]


class _Examples:
    """Training and validation genes of several cell types on the device.

    Counts lie there as uint16 (signal as float32) and become a network's input batch by batch; what
    a reduction leaves of them (one number a mark) is computed once. Each example is one gene in one
    cell type.
    """

    def __init__(self, cells: Mapping[str, CellType], params: ModelParams, device: torch.device):
        self.preprocessing = Preprocessing.of(params)
        self.rows: dict[str, dict[str, np.ndarray]] = {}
        x, y = [], []
        start = 0
        for name, every in cells.items():
            cell = every.without("test")
            self.rows[name] = {}
            for split in ("train", "valid"):
                mine = np.flatnonzero(cell.split == split)
                if len(np.unique(cell.y[mine])) < 2:
                    raise DeepChromeError(
                        f"{name}: the {split} split has {len(mine)} genes, all of one class; "
                        "expected high and low genes"
                    )
                self.rows[name][split] = start + mine
            start += len(cell.y)
            counts = torch.from_numpy(cell.X)
            if params.reduce:  # in pieces that fit a CPU's caches
                x += [self.preprocessing.features(part) for part in counts.split(SCORING_BATCH)]
            else:
                x.append(counts)
            y.append(torch.from_numpy(cell.y).float())
        # few operators take uint16; those that copy take its bits as int16
        self.counts = not params.reduce and x[0].dtype == torch.uint16
        joined = torch.cat([part.view(torch.int16) if self.counts else part for part in x])
        if params.reduce:  # one row a mark: a CPU gathers, standardizes and multiplies it faster
            joined = joined.squeeze(1).T.contiguous()
        self.x, self.y = joined.to(device), torch.cat(y).to(device)

    def of(self, job: Job, split: str) -> np.ndarray:
        """Return the rows of a job's examples, int64."""
        rows = np.concatenate([self.rows[cell][split] for cell in job.sources])
        if split == "valid" or job.examples is None:
            return rows
        rng = np.random.default_rng(job.stream("examples"))
        return np.sort(rng.choice(rows, min(job.examples, len(rows)), replace=False))

    def labels(self, rows: Tensor) -> Tensor:
        """Return 1 for high and 0 for low, float32 of the shape of rows."""
        return self.y.index_select(0, rows.flatten()).view(rows.shape)

    def features(self, rows: Tensor) -> Tensor:
        """Return features before standardization, shape=(*rows.shape, bins, marks).

        rows: shape=(genes,) or (..., jobs, genes).
        """
        if self.preprocessing.reduce:
            # job by job, as a job's examples lie close together
            by_job = rows.movedim(-2, 0) if rows.dim() > 1 else rows[None]
            x = self.x.index_select(1, by_job.flatten()).unflatten(1, by_job.shape)
            return x.movedim((0, 1), (-1, -3)).reshape(*rows.shape, 1, len(x))
        x = self.x.index_select(0, rows.flatten())
        x = self.preprocessing.features(x.view(torch.uint16) if self.counts else x)
        return x.unflatten(0, rows.shape)

    def scale(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Fit shift and scale of each mark on some examples."""
        parts = torch.from_numpy(rows).to(self.x.device).split(SCORING_BATCH)
        return self.preprocessing.fit(self.features(part) for part in parts)


class _Group:
    """Jobs that train together: their networks, their batches and how far they are."""

    def __init__(
        self,
        jobs: Sequence[Job],
        cells: Mapping[str, CellType],
        params: ModelParams,
        device: torch.device,
        precision: str,
    ):
        self.params, self.device = params, device
        self.examples = _Examples(cells, params, device)
        train_rows = {job: self.examples.of(job, "train") for job in jobs}
        # jobs with the most steps an epoch first, so that those still active at a step are a prefix
        self.jobs = sorted(jobs, key=lambda job: -len(train_rows[job]))
        self.train_rows = [train_rows[job] for job in self.jobs]
        sizes = np.array([len(rows) for rows in self.train_rows])
        self.sizes, self.steps = sizes, -(-sizes // params.batch_size)
        scales = [self.examples.scale(rows) for rows in self.train_rows]
        self.shift = torch.stack([shift for shift, _ in scales]).to(device)
        self.scale = torch.stack([scale for _, scale in scales]).to(device)
        self._set_validation()
        self.epoch = 0
        self.active = list(range(len(self.jobs)))
        """Positions of the jobs that still train, the same order as the rows of `networks`."""
        seeds = [job.stream("weights") for job in self.jobs]
        dropout_seed = self.jobs[0].stream("dropout")
        self.networks = Networks(params, seeds, dropout_seed, device, precision)
        self.optimizer = Optimizer(self.networks.weights, params, self.steps)
        self.batch_order = [np.random.default_rng(job.stream("batches")) for job in self.jobs]
        self.results = [
            Trained(job, {}, shift.numpy(), scale.numpy())
            for job, (shift, scale) in zip(self.jobs, scales, strict=True)
        ]
        gpu = device.type == "cuda"
        self.recorded: Graphs | Tapes = Graphs(self._step) if gpu else Tapes(self._step)
        self.recorded_scores = Tapes(self.networks.score)
        a_step = len(jobs) * params.batch_size * (self.examples.x.numel() // len(self.examples.y))
        self.gathered = max(1, GATHERED // a_step)
        """Steps whose inputs are laid out at a time."""
        self._set_steps()

    def _set_validation(self) -> None:
        """Lay out the validation genes of all jobs, padded to the longest: shape=(jobs, genes)."""
        rows = [self.examples.of(job, "valid") for job in self.jobs]
        longest = max(len(one) for one in rows)
        padded = np.zeros((len(rows), longest), np.int64)
        mask = np.zeros(padded.shape, bool)
        for i, one in enumerate(rows):
            padded[i, : len(one)] = one
            mask[i, : len(one)] = True
        self.valid = torch.from_numpy(padded).to(self.device)
        self.valid_mask = torch.from_numpy(mask).to(self.device)
        self.valid_y = self.examples.labels(self.valid)
        self._valid_inputs: Tensor | None = None

    def _set_steps(self) -> None:
        """Lay out an epoch of the active jobs: all that is the same in each."""
        sizes, steps = self.sizes[self.active], self.steps[self.active]
        places = np.arange(steps.max() * self.params.batch_size) < sizes[:, None]
        filled = torch.from_numpy(_by_step(places.astype(np.float32), self.params.batch_size))
        self.filled = filled.to(self.device)
        """1 where a batch has an example, shape=(steps, jobs, batch)."""
        self.weight = self.filled / self.filled.sum(-1, keepdim=True).clamp(min=1)
        """Of each example in its job's mean loss."""
        taking_part = (steps[:, None] > np.arange(steps.max())).sum(0)
        self.stretches: list[tuple[slice, int, bool]] = []
        """Steps, how many jobs take part in each of them, and whether recording one pays."""
        start = 0
        for n, count in zip(*np.unique(-taking_part, return_counts=True), strict=True):
            often = self.networks.batched and count >= OFTEN
            for first in range(start, start + count, self.gathered):
                last = min(first + self.gathered, start + count)
                self.stretches.append((slice(first, last), -int(n), often))
            start += count

    def _inputs(self, rows: Tensor) -> Tensor:
        """Return standardized features of examples, rows of shape=(..., jobs, genes)."""
        n = rows.shape[-2]
        x = self.examples.features(rows)  # (..., jobs, genes, bins, marks), a copy
        if self.examples.preprocessing.standardize:
            x.sub_(self.shift[:n, None, None]).div_(self.scale[:n, None, None])
        return x

    def genes_left(self) -> int:
        """Return how many genes the active jobs would still see without an early stop."""
        return int(self.sizes[self.active].sum()) * (self.params.epochs - self.epoch)

    def going(self) -> list[Job]:
        """Return the jobs that still train."""
        return [self.jobs[j] for j in self.active]

    def train_epoch(self) -> Epoch:
        """Train one epoch, score the validation genes, and drop the jobs that stop."""
        self.epoch += 1
        jobs = self.going()
        losses = self._train()
        aurocs = self._validate()
        seen = int(self.sizes[self.active].sum())
        going = []
        for i, (j, loss, auroc) in enumerate(zip(self.active, losses, aurocs, strict=True)):
            mine = self.results[j]
            if not math.isfinite(loss):
                raise DeepChromeError(
                    f"{mine.job.name}, seed {mine.job.seed}: the training loss became "
                    f"{loss} in epoch {self.epoch}; use a lower learning_rate or input: log1p"
                )
            mine.history.append({"epoch": self.epoch, "train_loss": loss, "valid_auroc": auroc})
            if auroc > mine.valid_auroc or not mine.weights:
                mine.valid_auroc, mine.best_epoch = auroc, self.epoch
                mine.weights = self.networks.weights_of(i)
            waited = self.epoch - mine.best_epoch
            if waited < self.params.patience and self.epoch < self.params.epochs:
                going.append(i)
        self._keep(going)
        return Epoch(self.epoch, jobs, losses, aurocs, seen, self.genes_left(), self.going())

    def _train(self) -> list[float]:
        """Take every step of an epoch; return each active job's mean loss."""
        order = [self.batch_order[j].permutation(self.train_rows[j]) for j in self.active]
        rates = learning_rates(self.params, self.epoch, self.steps[self.active])
        # all that the epoch needs goes to the device at once; nothing comes back before its end
        rows = torch.from_numpy(self._batches(order)).to(self.device)
        rate = torch.from_numpy(rates.T.copy()).to(self.device, self.optimizer.rate_type)
        y = self.examples.labels(rows)
        margins = torch.zeros_like(y)
        for steps, n, often in self.stretches:
            part = steps, slice(n)
            given = self._inputs(rows[part]), y[part], self.weight[part], rate[part]
            each = zip(*(tensor.unbind() for tensor in given), strict=True)
            done = self.recorded.steps(each) if often else [self._step(*one) for one in each]
            margins[part] = torch.stack(done)
        losses = binary_cross_entropy_with_logits(margins, y, self.filled, reduction="none")
        return (losses.sum((0, 2)).cpu().numpy() / self.sizes[self.active]).tolist()

    def _batches(self, order: Sequence[np.ndarray]) -> np.ndarray:
        """Cut each job's examples, in the order of an epoch, into batches.

        Returns the examples, int64, shape=(steps, jobs, batch).
        """
        steps, jobs, batch = self.filled.shape
        index = np.zeros((jobs, steps * batch), np.int64)
        for i, rows in enumerate(order):
            index[i, : len(rows)] = rows
        return _by_step(index, batch)

    def _step(self, x: Tensor, y: Tensor, w: Tensor, rates: Tensor) -> Tensor:
        """Take one step of the first jobs; return their log-odds of high, shape=(jobs, batch).

        The arguments are those of `Networks.gradients` and, shape=(jobs,), the learning rates.
        """
        margins, gradients = self.networks.gradients(x, y, w)
        self.optimizer.step(gradients, rates)
        return margins

    def _validate(self) -> list[float]:
        if self.params.reduce:  # so small that what is computed once can be kept
            if self._valid_inputs is None:
                self._valid_inputs = self._inputs(self.valid)
            scores = self.networks.score(self._valid_inputs)
        else:
            gpu, score = self.device.type == "cuda", self.networks.score
            *full, last = self.valid.split(SCORING_BATCH if gpu else SCORING_BATCH_CPU, 1)
            each = ((self._inputs(part),) for part in full)
            pays = self.networks.batched and not gpu
            parts = self.recorded_scores.steps(each) if pays else [score(*one) for one in each]
            scores = torch.cat([*parts, score(self._inputs(last))], 1)  # the last: fewer genes
        return auroc_batched(self.valid_y, scores, self.valid_mask).tolist()

    def _keep(self, going: list[int]) -> None:
        if len(going) == len(self.active):
            return
        self.active = [self.active[i] for i in going]
        kept = torch.tensor(going, device=self.device, dtype=torch.int64)
        self.shift, self.scale = self.shift[kept], self.scale[kept]
        self.valid, self.valid_mask = self.valid[kept], self.valid_mask[kept]
        self.valid_y, self._valid_inputs = self.valid_y[kept], None
        self.networks.keep(kept)
        self.optimizer.keep(kept, self.steps[self.active])
        self.recorded.forget()
        self.recorded_scores.forget()
        if self.active:
            self._set_steps()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return all that `restore` needs to go on from here: tensors, and what JSON can hold."""
        tensors = {"random": _random_state(self.device)}
        tensors |= {f"weights.{name}": w for name, w in self.networks.weights.items()}
        tensors |= self.optimizer.state()
        for j, one in enumerate(self.results):
            tensors |= {f"best.{j}.{n}": torch.from_numpy(w) for n, w in one.weights.items()}
        return tensors, {
            "epoch": self.epoch,
            "active": self.active,
            "batch_order": [generator.bit_generator.state for generator in self.batch_order],
            "results": [
                {"best_epoch": o.best_epoch, "valid_auroc": o.valid_auroc, "history": o.history}
                for o in self.results
            ],
        }

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.epoch = state["epoch"]
        self._keep(state["active"])
        for name in self.networks.weights:
            self.networks.weights[name].copy_(tensors[f"weights.{name}"])
        self.optimizer.restore(tensors)
        _set_random_state(self.device, tensors["random"])
        for generator, saved in zip(self.batch_order, state["batch_order"], strict=True):
            generator.bit_generator.state = saved
        for j, (one, saved) in enumerate(zip(self.results, state["results"], strict=True)):
            one.best_epoch, one.valid_auroc = saved["best_epoch"], saved["valid_auroc"]
            one.history = saved["history"]
            prefix = f"best.{j}."
            one.weights = {
                name.removeprefix(prefix): tensor.numpy()
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }


def _random_state(device: torch.device) -> Tensor:
    """Return the state of the generator that dropout draws from."""
    return torch.cuda.get_rng_state() if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: Tensor) -> None:
    (torch.cuda.set_rng_state if device.type == "cuda" else torch.set_rng_state)(state)


def _by_step(of_jobs: np.ndarray, batch_size: int) -> np.ndarray:
    """Cut rows of jobs into batches: shape=(jobs, places) to (steps, jobs, batch)."""
    return of_jobs.reshape(len(of_jobs), -1, batch_size).swapaxes(0, 1).copy()


def learning_rates(params: ModelParams, epoch: int, steps: np.ndarray) -> np.ndarray:
    """Return each job's learning rate at each step of an epoch, float64, shape=(jobs, steps).

    epoch: from 1. steps: each job's steps per epoch, which set the pace of its own annealing.
    """
    step = np.arange(steps.max())[None, :]
    if params.schedule == "constant":
        return np.full((len(steps), step.size), params.learning_rate)
    done = (epoch - 1 + step / steps[:, None]) / params.epochs
    span = params.learning_rate - MIN_LEARNING_RATE
    return MIN_LEARNING_RATE + span * (1 + np.cos(np.pi * done.clip(0, 1))) / 2
