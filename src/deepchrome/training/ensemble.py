"""Many networks of one architecture as one: stacked weights, their gradients and updates."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.optim.adamw import adamw

from deepchrome import MARKS, N_BINS
from deepchrome.models import build, margin
from deepchrome.params import ModelParams


class Networks:
    """The stacked weights of several jobs: each parameter has shape=(jobs, *its own shape).

    seeds: of each job's initial weights. precision: as for `training.fit`.
    """

    def __init__(
        self,
        params: ModelParams,
        seeds: Sequence[int],
        dropout_seed: int,
        device: torch.device,
        precision: str = "float32",
    ):
        self.base = network(params).to(device)
        self.device = device
        self.bfloat16 = precision == "bfloat16"
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
        drawn = [initial_weights(params, seed) for seed in seeds]
        self.weights = {
            name: torch.stack([weights[name] for weights in drawn]).to(device) for name in drawn[0]
        }
        self.batched = can_batch(params)
        """Whether vmap takes the network, so that all it does is operators on tensors."""
        torch.manual_seed(dropout_seed)

    def gradients(self, x: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the log-odds of high, shape=(jobs, batch), and the gradients of stacked weights.

        x: shape=(jobs, batch, bins, marks). y: shape=(jobs, batch). w: likewise, of
        each example in its job's mean cross-entropy, 0 for padding. Jobs beyond the first `len(x)`
        take no part.
        """
        self.base.train()
        if self.batched and len(x) > 1:
            rows = {name: weight[: len(x)] for name, weight in self.weights.items()}
            return self._gradients(rows, x, y, w, self._all)
        # one by one; for a single job plain operators are faster than batched ones
        parts = [self._gradients(self._row(k), x[k], y[k], w[k], self._one) for k in range(len(x))]
        if len(parts) == 1:
            margins, gradients = parts[0]
            return margins[None], {name: gradient[None] for name, gradient in gradients.items()}
        return torch.stack([margins for margins, _ in parts]), {
            name: torch.stack([gradients[name] for _, gradients in parts]) for name in self.weights
        }

    def _gradients(
        self,
        weights: dict[str, Tensor],
        x: Tensor,
        y: Tensor,
        w: Tensor,
        score: Callable[[dict[str, Tensor], Tensor], Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
        margins = score(leaves, x)
        slope = (margins.detach().sigmoid() - y) * w  # of the cross-entropy
        gradients = torch.autograd.grad(_Sloping.apply(margins, slope), list(leaves.values()))
        return margins.detach(), dict(zip(leaves, gradients, strict=True))

    @torch.no_grad()
    def score(self, x: Tensor) -> Tensor:
        """Return the log-odds of high by each job, shape=(jobs, genes).

        x: shape=(jobs, genes, bins, marks).
        """
        self.base.eval()
        if self.batched and len(x) > 1:
            return self._all(self.weights, x)
        return torch.stack([self._one(self._row(k), x[k]) for k in range(len(x))])

    def _row(self, k: int) -> dict[str, Tensor]:
        return {name: weight[k] for name, weight in self.weights.items()}

    def _one(self, weights: dict[str, Tensor], x: Tensor) -> Tensor:
        if not self.bfloat16:
            return margin(functional_call(self.base, weights, (x,)))
        with torch.autocast(self.device.type, torch.bfloat16):
            return margin(functional_call(self.base, weights, (x,))).float()

    def _all(self, weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return vmap(self._one, randomness="different")(weights, x)

    def weights_of(self, i: int) -> dict[str, np.ndarray]:
        """Return a copy of one job's weights."""
        return {name: weight[i].cpu().numpy().copy() for name, weight in self.weights.items()}

    def keep(self, kept: Tensor) -> None:
        """Drop the jobs that have stopped."""
        for name, weight in self.weights.items():
            self.weights[name] = weight[kept]


class _Sloping(torch.autograd.Function):
    """A number, without a meaning of its own, with a given gradient with respect to a tensor.

    `torch.autograd.grad` takes the gradient of a tensor too, but imports SymPy for it, which takes
    half a second in each process.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return tensor.new_zeros(())

    @staticmethod
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0], None


def can_batch(params: ModelParams) -> bool:
    """Tell whether vmap has a rule for every operator of a network, by trying it."""
    base = network(params).train()
    weights = {
        name: p.detach()[None].repeat(2, *[1] * p.dim()).requires_grad_()
        for name, p in base.named_parameters()
    }

    def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return margin(functional_call(base, weights, (x,)))

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("error")  # where vmap warns, it loops over the networks itself
        try:
            scores = vmap(one, randomness="different")(weights, torch.zeros(2, 2, *_shape(params)))
            torch.autograd.grad(scores.sum(), list(weights.values()))
        except (RuntimeError, NotImplementedError, UserWarning):
            return False
    return True


def _shape(params: ModelParams) -> tuple[int, int]:
    """Return the bins and marks that a variant's network takes."""
    return 1 if params.reduce else N_BINS, len(MARKS)


def network(params: ModelParams) -> nn.Module:
    """Build the network of a variant for the bins and marks of a data set."""
    return build(params.architecture, *_shape(params), params.options)


def initial_weights(params: ModelParams, seed: int) -> dict[str, Tensor]:
    """Draw the initial weights of one network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: p.detach().clone() for name, p in network(params).named_parameters()}


class Optimizer:
    """SGD or AdamW on stacked weights, with a learning rate for each job.

    torch's fused AdamW takes one rate a call. Jobs with as many steps an epoch have the same rate
    at every step, so they are updated together: a block of consecutive rows. Weight decay is
    decoupled from the gradient (Loshchilov and Hutter 2019); for SGD that makes no difference.

    steps: steps per epoch of each job, in descending order.
    """

    def __init__(self, weights: dict[str, Tensor], params: ModelParams, steps: np.ndarray):
        self.weights, self.params = weights, params
        adam = params.optimizer == "adam"
        self.first = {n: torch.zeros_like(w) for n, w in weights.items()} if adam else {}
        self.second = {n: torch.zeros_like(w) for n, w in weights.items()} if adam else {}
        self.taken = {n: torch.zeros(len(w), device=w.device) for n, w in weights.items()}
        # on a CPU the fused AdamW reads a rate as a double
        on_cpu = next(iter(weights.values())).device.type == "cpu"
        self.rate_type = torch.float64 if adam and on_cpu else torch.float32
        self._set_blocks(steps)

    def _set_blocks(self, steps: np.ndarray) -> None:
        ends = [*np.flatnonzero(np.diff(steps)) + 1, len(steps)]
        self.blocks = [slice(int(a), int(b)) for a, b in zip([0, *ends], ends, strict=False)]

    @torch.no_grad()
    def step(self, gradients: dict[str, Tensor], rates: Tensor) -> None:
        """Take one step. rates: shape=(jobs,), of the first jobs, whole blocks; others rest.

        Of the type `rate_type`; a tensor, so that a recorded step reads the rate of its time.
        """
        params = self.params
        if params.optimizer == "sgd":
            for name, gradient in gradients.items():
                weight = self.weights[name][: len(rates)]
                rate_of_job = rates.view(-1, *[1] * (weight.dim() - 1))
                if params.weight_decay:
                    weight.mul_(1 - rate_of_job * params.weight_decay)
                weight.addcmul_(gradient, rate_of_job, value=-1)
            return
        for block in self.blocks:
            if block.start >= len(rates):
                break
            weights = [self.weights[name][block] for name in gradients]
            # the fused kernel reads memory in order, which a gradient need not be in
            mine = [gradient[block].contiguous() for gradient in gradients.values()]
            adamw(
                weights,
                mine,
                [self.first[name][block] for name in gradients],
                [self.second[name][block] for name in gradients],
                [],
                [self.taken[name][block.start] for name in gradients],
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=rates[block.start],
                weight_decay=params.weight_decay,
                eps=1e-8,
                maximize=False,
            )

    def keep(self, kept: Tensor, steps: np.ndarray) -> None:
        """Drop the jobs that have stopped. steps: those of the jobs that are kept."""
        for block in self.blocks:
            for taken in self.taken.values():
                taken[block] = taken[block.start]  # steps are counted in a block's first row
        for state in (self.first, self.second, self.taken):
            for name in state:
                state[name] = state[name][kept]
        self._set_blocks(steps)

    def state(self) -> dict[str, Tensor]:
        """Return what `restore` needs."""
        parts = {"first": self.first, "second": self.second, "taken": self.taken}
        return {f"{part}.{name}": t for part, named in parts.items() for name, t in named.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` returned, after `keep` with the same jobs."""
        for name, mine in self.state().items():
            mine.copy_(tensors[name])
