"""A conditional GAN over histone signals: what genes of a label and a cell type look like.

A Wasserstein GAN with gradient penalty (Gulrajani et al. 2017) over log1p counts of 100 bins x 5
marks. The generator makes the log of expected reads; the critic sees reads drawn from it, whole
numbers like the real ones, so that it cannot tell the two apart by their grain. Both see the same
condition: the label and the cell type together.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, leaky_relu, pad, relu, softplus

from deepchrome import MARKS, N_BINS
from deepchrome.data.dataset import CellType
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.files import write_json
from deepchrome.params import GanParams
from deepchrome.training.store import read_folder

LATENT = 64
"""Size of a latent vector."""

HIDDEN = 256
CONDITION = 32
NOISE_CHANNELS = 8
NOISE_WIDTH = 7
CRITIC_STEPS = 2
"""Steps of the critic for one of the generator."""

GRADIENT_PENALTY = 10.0
AVERAGING = 0.998
"""The generator that is kept is a running average over steps, with this weight of the past."""

LOWEST, HIGHEST = -7.0, 9.0
"""Bounds of the log of expected reads."""

COUNT_LIMIT = np.iinfo(np.uint16).max
_FLAT = N_BINS * len(MARKS)


class Network(nn.Module):
    """The generator: latent vector, label and cell type -> log of expected reads (or signal).

    A profile for each condition, plus what two hidden layers make of the latent vector, plus noise
    of single bins that a convolution spreads over their neighbours. start: the profiles to begin
    with, shape=(conditions, bins, marks).
    """

    def __init__(self, start: Tensor):
        super().__init__()
        self.condition = nn.Embedding(len(start), CONDITION)
        self.layers = nn.Sequential(
            nn.Linear(LATENT + CONDITION, HIDDEN),
            nn.LeakyReLU(0.2),
            nn.Linear(HIDDEN, HIDDEN),
            nn.LeakyReLU(0.2),
            nn.Linear(HIDDEN, _FLAT),
        )
        self.noise = nn.Conv1d(
            NOISE_CHANNELS, len(MARKS), NOISE_WIDTH, padding=NOISE_WIDTH // 2, bias=False
        )
        self.profile = nn.Parameter(start.clone())

    def forward(self, z: Tensor, condition: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return shape=(genes, bins, marks).

        z: shape=(genes, LATENT). condition: shape=(genes,), int64. noise: of single bins, shape=
        (genes, NOISE_CHANNELS, bins), standard normal; None for what is expected without it.
        """
        h = self.shape(z, self.condition(condition))
        if noise is not None:
            h = h + self.noise(noise).transpose(1, 2)
        return self.profile[condition] + h

    def shape(self, z: Tensor, condition: Tensor) -> Tensor:
        """Return what the latent vector adds to the profile, shape=(genes, bins, marks).

        condition: embedded, shape=(genes, CONDITION).
        """
        h = self.layers(torch.cat([z, condition], 1))
        return h.unflatten(1, (len(MARKS), N_BINS)).transpose(1, 2)

    def draw(self, condition: Tensor) -> Tensor:
        """Draw latent vectors and noise, and return what the network makes of them."""
        n, device = len(condition), condition.device
        noise = torch.randn(n, NOISE_CHANNELS, N_BINS, device=device)
        return self(torch.randn(n, LATENT, device=device), condition, noise)


class Critic(nn.Module):
    """Log signals and a condition -> a score, higher for real ones; shape=(genes,).

    Two hidden layers on all bins, and on each mark's log sum, mean and maximum. The condition
    enters at the first layer and as a projection at the last (Miyato and Koyama 2018). centre: the
    mean log signal, shape=(bins, marks).
    """

    def __init__(self, conditions: int, centre: Tensor):
        super().__init__()
        self.centre: Tensor
        self.register_buffer("centre", centre)
        self.first = nn.Linear(_FLAT + 3 * len(MARKS), HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.score = nn.Linear(HIDDEN, 1)
        self.at_first = nn.Embedding(conditions, HIDDEN)
        self.at_last = nn.Embedding(conditions, HIDDEN)
        nn.init.zeros_(self.at_first.weight)
        nn.init.zeros_(self.at_last.weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        total = torch.expm1(x.clamp(max=10)).sum(1).clamp(min=0)
        seen = [(x - self.centre).flatten(1), total.log1p(), x.mean(1), x.amax(1)]
        h = leaky_relu(self.first(torch.cat(seen, 1)) + self.at_first(condition), 0.2)
        h = leaky_relu(self.second(h), 0.2)
        return self.score(h)[:, 0] + (h * self.at_last(condition)).sum(1)


def expected(log_rate: Tensor, values: str) -> Tensor:
    """Return log1p of what is expected, from the network's output. values: counts or signal."""
    return softplus(log_rate) if values == "counts" else relu(log_rate)


def read_out(log_rate: Tensor, values: str) -> Tensor:
    """Return log1p of drawn values, shape as `log_rate`, with a gradient.

    Counts are drawn from a Poisson distribution. With the draw written as rate + sqrt(rate) * e and
    e held fixed, d count / d log rate is (count + rate) / 2; that is the gradient here.
    """
    if values == "signal":
        return relu(log_rate)
    log_rate = log_rate.clamp(LOWEST, HIGHEST)
    with torch.no_grad():
        rate = log_rate.exp().nan_to_num()  # the result is no number then, which is told
        counts = torch.poisson(rate)
        slope = (counts + rate) / (2 * (1 + counts))
    return counts.log1p() + slope * (log_rate - log_rate.detach())


def conditions(label: Tensor, cell: Tensor) -> Tensor:
    """Return one number for a label (0 or 1) and a cell type's position: 2 * cell + label."""
    return 2 * cell + label


@dataclass(frozen=True)
class Examples:
    """The genes that a GAN learns from: log signals and condition of each.

    `x`: log1p, float32, shape=(genes, bins, marks). `condition`: int64, shape=(genes,).
    """

    x: Tensor
    condition: Tensor

    @classmethod
    def of(cls, cells: list[CellType], split: str, device: torch.device) -> "Examples":
        """Take the genes of one split of all cell types."""
        parts = [cell.part(split) for cell in cells]
        x = np.concatenate([part.X for part in parts]).astype(np.float32)
        label = torch.from_numpy(np.concatenate([part.y for part in parts]).astype(np.int64))
        position = np.repeat(np.arange(len(parts)), [len(part.y) for part in parts])
        condition = conditions(label, torch.from_numpy(position))
        return cls(torch.from_numpy(x).log1p().to(device), condition.to(device))


@dataclass(frozen=True)
class Step:
    """What is known after a step of the generator.

    `distance`: the critic's estimate of the Wasserstein distance. Gradient norms are those of the
    whole network. `guidance`: the classifier's loss on generated signals, 0 without one.
    """

    step: int
    distance: float
    critic_loss: float
    generator_loss: float
    critic_gradient: float
    generator_gradient: float
    guidance: float


class DivergedError(Exception):
    """A loss is no longer a number."""


Guide = Callable[[Tensor, int], Tensor]
"""Log-odds of high, shape=(genes,), of signals, shape=(genes, bins, marks), in the n-th cell."""


class Trainer:
    """Trains a generator against a critic; `network` is the average over steps that is kept.

    values: counts or signal. guide: the classifier behind `params.guidance`; None where that is 0.
    The same seed gives the same steps.
    """

    def __init__(
        self,
        examples: Examples,
        params: GanParams,
        values: str,
        guide: Guide | None = None,
    ):
        self.examples, self.params, self.values, self.guide = examples, params, values, guide
        device = examples.x.device
        torch.manual_seed(params.seed)
        n = int(examples.condition.max()) + 1
        n += n % 2  # the last cell type's low genes alone would leave one out
        self.cells = n // 2
        start = starting_profiles(examples, n, values)
        self.generator = Network(start).to(device)
        self.network = Network(start).to(device)
        self.network.load_state_dict(self.generator.state_dict())
        self.critic = Critic(n, examples.x.mean(0)).to(device)
        self._optimizers = [
            torch.optim.Adam(part.parameters(), params.learning_rate, betas=(0.0, 0.9))
            for part in (self.generator, self.critic)
        ]
        # the second half anneals to 0: less noise in what is kept
        self._schedules = [
            torch.optim.lr_scheduler.LambdaLR(one, lambda t: min(1.0, 2 - 2 * t / params.steps))
            for one in self._optimizers
        ]

    def train(self) -> Iterator[Step]:
        """Take `params.steps` steps of the generator, and report each.

        Raises DivergedError where a loss is not finite; `network` is then as it was before.
        """
        for step in range(1, self.params.steps + 1):
            for _ in range(CRITIC_STEPS):
                distance, critic_loss, critic_norm = self._critic_step()
            loss, guidance, norm = self._generator_step(step)
            if not math.isfinite(loss + critic_loss + norm + critic_norm):
                raise DivergedError
            self._average(step)
            for schedule in self._schedules:
                schedule.step()
            yield Step(step, distance, critic_loss, loss, critic_norm, norm, guidance)

    def _batch(self) -> Tensor:
        n = len(self.examples.condition)
        return torch.randint(n, (self.params.batch_size,), device=self.examples.x.device)

    def _critic_step(self) -> tuple[float, float, float]:
        rows = self._batch()
        real, condition = self.examples.x[rows], self.examples.condition[rows]
        with torch.no_grad():
            fake = read_out(self.generator.draw(condition), self.values)
        score = self.critic(torch.cat([real, fake]), condition.repeat(2))
        distance = score[: len(real)].mean() - score[len(real) :].mean()
        share = torch.rand(len(real), 1, 1, device=real.device)
        between = (share * real + (1 - share) * fake).requires_grad_()
        total = self.critic(between, condition).sum()
        (slope,) = torch.autograd.grad(total, between, create_graph=True)
        penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        loss = -distance + GRADIENT_PENALTY * penalty
        norm = self._update(1, loss)
        return distance.item(), loss.item(), norm

    def _generator_step(self, step: int) -> tuple[float, float, float]:
        condition = self.examples.condition[self._batch()]
        self.critic.requires_grad_(False)
        loss = -self.critic(read_out(self.generator.draw(condition), self.values), condition).mean()
        guidance = torch.zeros((), device=loss.device)
        if self.guide:
            guidance = self._guidance(step % self.cells)
        norm = self._update(0, loss + self.params.guidance * guidance)
        self.critic.requires_grad_(True)
        return loss.item(), guidance.item(), norm

    def _guidance(self, cell: int) -> Tensor:
        """Return the classifier's loss on generated signals of one cell type; they take turns."""
        assert self.guide is not None
        mine = self.examples.condition[self.examples.condition // 2 == cell]
        condition = mine[torch.randint(len(mine), (self.params.batch_size,), device=mine.device)]
        signal = torch.expm1(read_out(self.generator.draw(condition), self.values))
        label = (condition % 2).float()
        margin = self.guide(signal, cell)
        return nn.functional.binary_cross_entropy_with_logits(margin, label)

    def _update(self, which: int, loss: Tensor) -> float:
        optimizer = self._optimizers[which]
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.get_total_norm(
            [p.grad for p in optimizer.param_groups[0]["params"] if p.grad is not None]
        )
        optimizer.step()
        return norm.item()

    @torch.no_grad()
    def _average(self, step: int) -> None:
        past = min(AVERAGING, (1 + step) / (10 + step))
        pairs = zip(self.network.parameters(), self.generator.parameters(), strict=True)
        for kept, now in pairs:
            kept.lerp_(now, 1 - past)


def starting_profiles(examples: Examples, n: int, values: str) -> Tensor:
    """Return each condition's mean profile over training genes, smoothed over five bins.

    As the network's output: shape=(conditions, bins, marks).
    """
    overall = examples.x.mean(0)
    rows = []
    for condition in range(n):
        mine = examples.x[examples.condition == condition]
        rows.append(mine.mean(0) if len(mine) else overall)
    profiles = _smooth(torch.stack(rows), 5)
    if values == "signal":
        return profiles
    return torch.expm1(profiles).clamp(min=0.05).log()


def _smooth(profiles: Tensor, bins: int) -> Tensor:
    """Average over so many neighbouring bins; shape=(n, bins, marks)."""
    half = bins // 2
    padded = pad(profiles.transpose(1, 2), (half, half), mode="replicate")
    return avg_pool1d(padded, bins, 1).transpose(1, 2)


class Generator:
    """A trained generator, read from `models/gan` and checked.

    `cells`: the cell types it was trained on. `latent`: the size of a latent vector. `state`:
    "trained", or "collapsed" or "diverged", whose signals mean nothing.
    Raises DeepChromeError where a file is missing or damaged, or where the two do not fit.
    """

    latent = LATENT

    def __init__(self, path: str | Path, device: torch.device | None = None):
        self.path = Path(path)
        self.device = device or torch.device("cpu")
        self.info, tensors = read_folder(self.path, "gan", ("cells", "values", "state", "dataset"))
        self.cells: list[str] = self.info["cells"]
        self.values: str = self.info["values"]
        self.state: str = self.info["state"]
        self.network = Network(torch.zeros(2 * len(self.cells), N_BINS, len(MARKS)))
        try:
            self.network.load_state_dict(tensors)
        except RuntimeError:
            raise DeepChromeError(
                f"{self.path}: weights.safetensors does not hold a generator for the "
                f"{len(self.cells)} cell types that model.json names. "
                "Were the two files written by different runs?"
            ) from None
        self.network.to(self.device).eval().requires_grad_(False)

    def index(self, cell: str) -> int:
        """Return a cell type's position, or say which there are."""
        if cell not in self.cells:
            raise DeepChromeError(
                f"{self.path}: the generator does not know cell type {cell!r}"
                f"{nearest(cell, self.cells)} It has {listing(self.cells, 60)}."
            )
        return self.cells.index(cell)

    def log_counts(self, z: Tensor, label: Tensor, cell: Tensor) -> Tensor:
        """Return log1p of the expected counts, float32, shape=(n, bins, marks), differentiable.

        z: latent vectors, shape=(n, latent). label: 0 or 1, int64, shape=(n,). cell: positions in
        `cells`, int64, shape=(n,).
        """
        return expected(self.network(z, conditions(label, cell)), self.values)

    def between(self, z: Tensor, cell: int, share: float) -> Tensor:
        """Return log1p of expected counts part of the way from low to high; shape as `log_counts`.

        share: 0 is low, 1 is high; the label's embedding and profile are interpolated. cell: a
        position in `cells`.
        """
        rows = conditions(torch.tensor([0, 1]), torch.tensor(cell)).to(z.device)
        weight = torch.tensor([1 - share, share], dtype=torch.float32, device=z.device)
        condition = weight @ self.network.condition(rows)
        profile = torch.tensordot(weight, self.network.profile[rows], 1)
        shape = self.network.shape(z, condition.expand(len(z), -1))
        return expected(profile + shape, self.values)

    def sample(self, cell: str, label: np.ndarray, seed: int) -> np.ndarray:
        """Generate signals, shape=(genes, bins, marks): uint16 counts, or float32 signal.

        label: shape=(genes,), the label of each.
        """
        position = self.index(cell)
        condition = conditions(
            torch.as_tensor(np.asarray(label, np.int64)),
            torch.full((len(label),), position),
        ).to(self.device)
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(seed)
            return generate(self.network, condition, self.values)


@torch.no_grad()
def generate(network: Network, condition: Tensor, values: str) -> np.ndarray:
    """Draw one signal for each condition: shape=(genes, bins, marks), uint16 or float32."""
    parts = [torch.expm1(read_out(network.draw(c), values)) for c in condition.split(2048)]
    drawn = torch.cat(parts).cpu()
    if values == "signal":
        return drawn.numpy()
    return drawn.round().clamp(max=COUNT_LIMIT).numpy().astype(np.uint16)


def save(path: Path, network: Network, info: dict[str, Any]) -> None:
    """Write the generator: its weights and what `Generator` needs to know."""
    path.mkdir(parents=True)
    tensors = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, path / "weights.safetensors")
    write_json(path / "model.json", info)
