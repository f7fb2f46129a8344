"""All jobs of a run, trained group by group; on a CPU several groups at a time, in processes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import torch

from deepchrome.data.dataset import CellType, Dataset
from deepchrome.models import n_parameters
from deepchrome.params import ModelParams
from deepchrome.training.checkpoints import Checkpoints
from deepchrome.training.executor import cores, in_processes, report
from deepchrome.training.fit import fit
from deepchrome.training.jobs import Epoch, Job, TrainedNetwork
from deepchrome.training.network import can_batch, network

ENOUGH = 8
"""Small networks that one process trains on a CPU before another is worth its start."""


@dataclass(frozen=True)
class Group:
    """Jobs that train together, and all that a process needs to train them."""

    jobs: list[Job]
    dataset: Path
    params: ModelParams
    device: str
    precision: str
    record: str
    checkpoints: Checkpoints | None


def train(
    jobs: Sequence[Job],
    data: Dataset,
    params: ModelParams,
    device: torch.device,
    cells_at_once: int | str = "auto",
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    precision: str = "float32",
    checkpoints: Checkpoints | None = None,
    record: str = "auto",
) -> list[TrainedNetwork]:
    """Train all jobs; the arguments are those of `fit.fit`.

    Networks this small gain little from a second core (and lose much where it is busy), so each
    process computes on its share of the cores: one, where there are as many groups as cores.
    cells_at_once: jobs in a group, or "auto". Returns a network a job, in order.
    """
    if not can_batch(params) and cells_at_once == "auto":
        cells_at_once = 1
    sizes = data.training_genes
    steps = {job: -(-job.training_genes(sizes) // params.batch_size) for job in jobs}
    alike = groups(steps, n_parameters(network(params)), cells_at_once, device)
    work = [
        Group(group, data.path, params, str(device), precision, record, checkpoints)
        for group in alike
    ]
    workers = min(cores(), len(work)) if device.type == "cpu" else 1
    if workers <= 1:
        done = [_train(group, on_epoch) for group in work]
    else:
        done = in_processes(
            _train_in_worker,
            work,
            workers,
            on_epoch,
            "a training process was killed, perhaps for lack of memory; "
            "train fewer models together with train.cells_at_once",
            partial(torch.set_num_threads, max(1, cores() // workers)),
        )
    by_job = {one.job: one for group in done for one in group}
    return [by_job[job] for job in jobs]


def groups(
    steps: Mapping[Job, int], n_parameters: int, cells_at_once: int | str, device: torch.device
) -> list[list[Job]]:
    """Cut jobs into groups that train together, of as many steps an epoch each.

    steps: of each job, an epoch. On a CPU a group's weights should stay in its caches: large
    networks train one by one, small ones together, but where there are many, in a group for each
    core. A GPU takes all there are, up to 100 million parameters.
    """
    if cells_at_once == "auto":
        size = max(1, (100_000_000 if device.type == "cuda" else 500_000) // n_parameters)
        if device.type == "cpu":
            size = min(size, max(ENOUGH, -(-len(steps) // cores())))
    else:
        size = int(cells_at_once)
    found = []
    for _, alike in groupby(sorted(steps, key=steps.__getitem__), key=steps.__getitem__):
        jobs = list(alike)
        found += [jobs[start : start + size] for start in range(0, len(jobs), size)]
    return found


def _train_in_worker(group: Group) -> list[TrainedNetwork]:
    return _train(group, report)


def _train(group: Group, on_epoch: Callable[[Epoch], None]) -> list[TrainedNetwork]:
    names = list(dict.fromkeys(cell for job in group.jobs for cell in job.sources))
    return fit(
        group.jobs,
        CellTypes(Dataset(group.dataset), names, mark_by_mark=group.params.reduce is not None),
        group.params,
        torch.device(group.device),
        on_epoch,
        group.precision,
        group.checkpoints,
        group.record,
    )


@dataclass(frozen=True)
class CellTypes(Mapping[str, CellType]):
    """Cell types of a dataset, each loaded when it is looked at, and not kept."""

    data: Dataset
    names: list[str]
    mark_by_mark: bool

    def __getitem__(self, name: str) -> CellType:
        return self.data.load(name, self.mark_by_mark)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
