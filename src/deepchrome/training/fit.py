"""The training loop: the networks of a group of jobs, at once.

Parameters are stacked along a leading axis of jobs and the loss is summed over jobs, so one
backward pass gives each job its own gradient. A job's trajectory does not depend on its company:
its initial weights, batch order, dropout, best epoch and early stop are its own.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from deepchrome.data.dataset import CellType
from deepchrome.errors import DeepChromeError
from deepchrome.params import ModelParams
from deepchrome.training.checkpoints import Checkpoints
from deepchrome.training.ensemble import Ensemble, backward
from deepchrome.training.examples import Batches
from deepchrome.training.jobs import Epoch, Job, TrainedNetwork, replay
from deepchrome.training.network import largest_activation
from deepchrome.training.objective import HIGH, Objective
from deepchrome.training.optimizer import Optimizer, learning_rates, state
from deepchrome.training.record import CudaGraph, Recording
from deepchrome.training.tape import Tape

OFTEN = 20
"""Steps of an epoch that pay for recording one."""

SCORING_BATCH_CPU = 128
"""Genes scored at a time on a CPU: what a network makes of them fits its caches."""

SMALL = 2**10
"""Numbers that all networks make of a gene, at most, where all genes are scored at a time."""

SCORING_NUMBERS = 2**28
"""Numbers that a scored batch may become at once inside all networks: 1 GiB of float32."""


def step(
    ensemble: Ensemble,
    optimizer: Optimizer,
    objective: Objective,
    x: Tensor,
    y: Tensor,
    weight: Tensor,
    rate: Tensor,
) -> Tensor:
    """Take one step of all jobs: forward, loss, backward, update. Return their outputs.

    x: shape=(jobs, batch, bins, marks). y, weight and what is returned: shape=(jobs, batch);
    weight of each example in its job's mean loss, 0 for padding. rate: shape=().
    """
    leaves = ensemble.leaves()
    output = ensemble.output(x, leaves, training=True)
    slope = objective.slope(output.detach(), y) * weight  # the loss itself is not needed
    optimizer.step(leaves, backward(output, slope, leaves), rate)
    ensemble.next_keys()
    return output.detach()


def fit(
    jobs: Sequence[Job],
    cells: Mapping[str, CellType],
    params: ModelParams,
    device: torch.device,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    precision: str = "float32",
    checkpoints: Checkpoints | None = None,
    record: str = "auto",
) -> list[TrainedNetwork]:
    """Train one group of jobs, of as many steps an epoch, on the training genes of their cells.

    The epoch with the best score on their validation genes is kept; a job stops after
    `params.patience` epochs without a better one. Genes of the test split are not looked at.
    cells: the data of every cell type that the jobs name, looked at one by one. precision:
    "float32"; "tf32" (matrix products on a GPU's tensor cores) or "bfloat16" (autocast). With
    `checkpoints`, an interrupted call goes on from the last one, with the same result. record:
    "auto" records steps where that pays, "off" never. Returns a network a job, in order.
    """
    objective = HIGH
    batches = Batches(jobs, cells, params, device)
    ensemble = Ensemble(params, jobs, device, precision)
    optimizer = Optimizer(ensemble, params)
    networks = [
        TrainedNetwork(job, {}, shift.cpu().numpy(), scale.cpu().numpy())
        for job, shift, scale in zip(jobs, batches.shift, batches.scale, strict=True)
    ]
    activation = largest_activation(params)
    rows = list(range(len(jobs)))  # which job each row of the ensemble is of
    going = np.ones(len(jobs), bool)  # rows that have not stopped; the others train on, unheeded
    epoch = 0

    # inputs of one number a mark are laid out for all steps together, others within each step
    at_once = params.reduce is not None

    def step_on(examples: Tensor, *given: Tensor) -> Tensor:
        x = examples if at_once else batches.inputs(examples)
        return step(ensemble, optimizer, objective, x, *given)

    @torch.no_grad()
    def score(examples: Tensor) -> Tensor:
        """Return the output for examples, shape=(jobs, genes)."""
        x = examples if at_once else batches.inputs(examples)
        return ensemble.output(x, ensemble.leaves(), training=False)

    def train_epoch() -> np.ndarray:
        """Take every step of an epoch; return each row's mean loss."""
        # all that the epoch needs goes to the device at once; nothing comes back before its end
        examples = batches.draw()
        y = batches.examples.labels(examples)
        rates = learning_rates(params, epoch, batches.steps)
        rate = torch.from_numpy(rates).to(device, optimizer.rate_type)
        given = batches.inputs(examples) if at_once else examples, y, batches.weight, rate
        outputs = torch.stack([take(*one) for one in zip(*given, strict=True)])
        losses = objective.loss(outputs, y) * batches.filled
        return losses.sum((0, 2)).cpu().numpy() / batches.sizes

    def validate() -> tuple[np.ndarray, np.ndarray]:
        """Return each row's score on its validation genes, and whether it is a number at all."""
        genes = batches.valid_inputs() if at_once else batches.valid
        *full, last = genes.split(genes_at_once(len(rows) * activation, device), 1)
        outputs = torch.cat([*map(take_score, full), score(last)], 1)  # the last: fewer genes
        finite = outputs.isfinite().all(1).cpu().numpy()
        found = objective.score(outputs, batches.valid_y, batches.valid_mask)
        return found.cpu().numpy(), finite

    def changing() -> list[Tensor]:
        return list(state(ensemble, optimizer).values())

    recordings: list[Recording] = []
    take: Callable[..., Tensor] = step_on
    take_score: Callable[..., Tensor] = score
    if record == "auto" and ensemble.batched:
        capture = CudaGraph() if device.type == "cuda" else Tape()
        if batches.steps >= OFTEN:
            take = Recording(step_on, capture, changing)
            recordings.append(take)
        take_score = Recording(score, capture)
        recordings.append(take_score)

    def keep(kept: list[int]) -> None:
        """Drop all rows but these."""
        nonlocal rows, going
        rows, going = [rows[i] for i in kept], going[kept]
        for part in (batches, ensemble, optimizer):
            part.keep(kept)
        for recording in recordings:
            recording.forget()

    def genes_left() -> int:
        return int(batches.sizes[going].sum()) * (params.epochs - epoch)

    def still() -> list[Job]:
        return [jobs[rows[i]] for i in np.flatnonzero(going)]

    saved = checkpoints.load(jobs) if checkpoints else None
    if checkpoints and saved:
        epoch = saved.epoch
        by_key = {checkpoints.keys[one.job]: one for one in networks}
        keep([list(by_key).index(key) for key in saved.rows])
        going = np.array(saved.going, bool)
        saved.restore(by_key, batches.order, state(ensemble, optimizer))
        for earlier in replay(networks):
            now = earlier.epoch == epoch
            left, jobs_left = (genes_left(), still()) if now else (0, [])
            on_epoch(replace(earlier, genes_left=left, going=jobs_left))
    last_saved = time.monotonic()
    while going.any():
        epoch += 1
        losses = train_epoch()
        scores, finite = validate()
        trained = np.flatnonzero(going)
        for i in trained:
            one, loss, found = networks[rows[i]], float(losses[i]), float(scores[i])
            if not (math.isfinite(loss) and finite[i]):
                what = "a score" if math.isfinite(loss) else "the training loss"
                raise DeepChromeError(
                    f"{one.job.name}, seed {one.job.seed}: {what} became "
                    f"{'no number' if math.isfinite(loss) else loss} in epoch {epoch}; use a lower "
                    "learning_rate or input: log1p"
                )
            one.history.append({"epoch": epoch, "train_loss": loss, "valid_auroc": found})
            if objective.better(found, one.valid_auroc) or not one.weights:
                one.valid_auroc, one.best_epoch = found, epoch
                one.weights = ensemble.weights_of(int(i))
            going[i] = epoch - one.best_epoch < params.patience and epoch < params.epochs
        seen = int(batches.sizes[trained].sum())
        done = [jobs[rows[i]] for i in trained], losses[trained].tolist(), scores[trained].tolist()
        on_epoch(Epoch(epoch, *done, seen, genes_left(), still()))
        if going.any() and going.sum() <= len(rows) / 2:
            keep(np.flatnonzero(going).tolist())
        overdue = checkpoints and time.monotonic() - last_saved > checkpoints.seconds
        if checkpoints and (overdue or not going.any()):
            alive = [jobs[row] for row in rows], going.tolist(), batches.order
            checkpoints.save(jobs, epoch, *alive, networks, state(ensemble, optimizer))
            last_saved = time.monotonic()
    return networks


def genes_at_once(numbers: int, device: torch.device) -> int:
    """Return how many validation genes to score at a time.

    numbers: in the largest tensor that one gene becomes inside all networks.
    """
    fitting = max(1, SCORING_NUMBERS // numbers)
    cached = device.type == "cpu" and numbers > SMALL
    return min(SCORING_BATCH_CPU, fitting) if cached else fitting
