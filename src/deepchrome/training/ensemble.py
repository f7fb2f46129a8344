"""Many networks of one architecture as one: stacked weights, their outputs and updates."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd
from torch.utils._python_dispatch import TorchDispatchMode

from deepchrome import MARKS, N_BINS
from deepchrome.errors import DeepChromeError, listing
from deepchrome.models import Dropout, build, margin
from deepchrome.params import ModelParams
from deepchrome.training.jobs import Job

KEY_STEP = 0x3C6EF373
"""What a dropout key grows by at each step; being odd, its multiples visit all of 32 bits."""


class Ensemble:
    """The networks of several jobs: each weight has shape=(jobs, *its own shape).

    Weights, dropout and so what a network becomes follow from its job alone, whoever is beside it.
    precision: as for `fit.fit`.
    """

    def __init__(
        self,
        params: ModelParams,
        jobs: Sequence[Job],
        device: torch.device,
        precision: str = "float32",
    ):
        self.base, self.device = network(params).to(device), device
        self.bfloat16 = precision == "bfloat16"
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
        drawn = [initial_weights(params, job.stream("weights")) for job in jobs]
        self.weights = {
            name: torch.stack([weights[name] for weights in drawn]).to(device) for name in drawn[0]
        }
        self.dropouts = {n: m for n, m in self.base.named_modules() if isinstance(m, Dropout)}
        keys = [[job.stream(f"dropout/{name}") % 2**31 for job in jobs] for name in self.dropouts]
        self.keys = torch.tensor(keys, dtype=torch.int32).view(-1, len(jobs)).to(device)
        """Of each dropout layer and job, at this step."""

    def leaves(self) -> dict[str, Tensor]:
        """Return the weights as tensors to differentiate by, in the same memory.

        Those of a single network have no axis of jobs: plain operators are faster than batched
        ones.
        """
        one = len(self) == 1
        rows = {name: weight[0] if one else weight for name, weight in self.weights.items()}
        return {name: weight.detach().requires_grad_() for name, weight in rows.items()}

    def output(self, x: Tensor, leaves: dict[str, Tensor], training: bool) -> Tensor:
        """Return the log-odds of high, shape=(jobs, genes), of x, (jobs, genes, bins, marks).

        leaves: what `leaves` returned.
        """
        self.base.train(training)
        for module in self.dropouts.values():
            module.calls = 0
        keys = {f"{name}.key": key for name, key in zip(self.dropouts, self.keys, strict=True)}
        if len(self) == 1:
            return self._one(leaves | {name: key[0] for name, key in keys.items()}, x[0])[None]
        return vmap(self._one)(leaves | keys, x)

    def _one(self, weights: dict[str, Tensor], x: Tensor) -> Tensor:
        if not self.bfloat16:
            return margin(functional_call(self.base, weights, (x,)))
        with torch.autocast(self.device.type, torch.bfloat16):
            return margin(functional_call(self.base, weights, (x,))).float()

    def __len__(self) -> int:
        return len(next(iter(self.weights.values())))

    def weights_of(self, i: int) -> dict[str, np.ndarray]:
        """Return a copy of one job's weights."""
        return {name: weight[i].cpu().numpy().copy() for name, weight in self.weights.items()}

    def keep(self, kept: list[int]) -> None:
        """Drop all jobs but those at these places."""
        self.weights = {name: weight[kept] for name, weight in self.weights.items()}
        self.keys = self.keys[:, kept]


class Optimizer:
    """torch's fused AdamW or SGD on stacked weights: one step for all jobs.

    torch.optim.AdamW and SGD call the same functions, but import torch's compiler first, which
    takes two seconds in each process.
    """

    def __init__(self, ensemble: Ensemble, params: ModelParams):
        self.params, weights = params, ensemble.weights
        moments = ("first", "second") if params.optimizer == "adam" else ()
        self.moments = {
            moment: {name: torch.zeros_like(weight) for name, weight in weights.items()}
            for moment in moments
        }
        device = ensemble.device
        self.steps = [torch.zeros((), device=device) for _ in weights] if moments else []
        # on a CPU the fused kernels read a rate as a double
        self.rate_type = torch.float64 if device.type == "cpu" else torch.float32

    @torch.no_grad()
    def step(self, weights: dict[str, Tensor], gradients: Sequence[Tensor], rate: Tensor) -> None:
        """Take one step, in place. rate: shape=(), of the type `rate_type`."""
        # the fused kernels read memory in order, which a gradient need not be in
        mine = [gradient.contiguous() for gradient in gradients]
        leaves, decay = list(weights.values()), self.params.weight_decay
        if self.params.optimizer == "sgd":
            sgd(
                leaves,
                mine,
                [],
                fused=True,
                weight_decay=decay,
                momentum=0.0,
                lr=rate,  # type: ignore[arg-type]
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
            return
        first, second = (
            [named[name].view_as(leaf) for name, leaf in weights.items()]
            for named in self.moments.values()
        )
        adamw(
            leaves,
            mine,
            first,
            second,
            [],
            self.steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate,
            weight_decay=decay,
            eps=1e-8,
            maximize=False,
        )

    def keep(self, kept: list[int]) -> None:
        """Drop all jobs but those at these places."""
        for named in self.moments.values():
            for name in named:
                named[name] = named[name][kept]


def state(ensemble: Ensemble, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return by name every tensor that a step changes, in its place."""
    tensors = {"keys": ensemble.keys}
    for part, named in {"weights": ensemble.weights, **optimizer.moments}.items():
        tensors |= {f"{part}.{name}": tensor for name, tensor in named.items()}
    return tensors | {f"steps.{i}": count for i, count in enumerate(optimizer.steps)}


def network(params: ModelParams) -> nn.Module:
    """Build the network of a variant for the bins and marks of a data set."""
    return build(params.architecture, *_shape(params), params.options)


def _shape(params: ModelParams) -> tuple[int, int]:
    """Return the bins and marks that a variant's network takes."""
    return 1 if params.reduce else N_BINS, len(MARKS)


def initial_weights(params: ModelParams, seed: int) -> dict[str, Tensor]:
    """Draw the initial weights of one network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: p.detach().clone() for name, p in network(params).named_parameters()}


def can_batch(params: ModelParams) -> bool:
    """Tell whether vmap has a rule for every operator of a network, by trying it.

    Raises DeepChromeError for a network that several jobs cannot share, or that would not give the
    same numbers again (`models`).
    """
    base = network(params)
    _check_rules(base, params)
    base.train()
    weights = {
        name: p.detach()[None].repeat(2, *[1] * p.dim()).requires_grad_()
        for name, p in base.named_parameters()
    }

    def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return margin(functional_call(base, weights, (x,)))

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("error")  # where vmap warns, it loops over the networks itself
        try:
            scores = vmap(one)(weights, torch.zeros(2, 2, *_shape(params)))
            torch.autograd.grad(scores.sum(), list(weights.values()))
        except (RuntimeError, NotImplementedError, UserWarning):
            return False
    return True


def _check_rules(base: nn.Module, params: ModelParams) -> None:
    """Refuse a network whose result would depend on more than its weights and the gene."""
    fault = None
    buffers = base.state_dict().keys() - dict(base.named_parameters()).keys()
    x = torch.rand(3, *_shape(params), generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        together, alone = base.eval()(x), base(x[:1])
        before = torch.get_rng_state()
        base.train()(x)
        drawn = not torch.equal(before, torch.get_rng_state())
    if buffers:
        fault = (
            f"it keeps {listing(sorted(buffers), 3)}, as BatchNorm does, which training changes; "
            "all networks would share them and none would be saved. Use LayerNorm, or register a "
            "constant with persistent=False"
        )
    elif not torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-5):
        fault = "its score of a gene depends on the other genes of the batch"
    elif drawn:
        fault = (
            "it draws random numbers other than by nn.Dropout, which would not be the same again "
            "beside other networks"
        )
    if fault:
        raise DeepChromeError(f"architecture {params.architecture}: {fault}")


def largest_activation(params: ModelParams) -> int:
    """Return how many numbers the largest tensor holds that one gene becomes in a network."""

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = func(*args, **(kwargs or {}))
            found.append(result.numel() if isinstance(result, Tensor) else 0)
            return result

    base, sizes = network(params).eval(), []
    for genes in (2, 3):  # a single one takes other operators
        found: list[int] = []
        with torch.no_grad(), Sizes():
            base(torch.zeros(genes, *_shape(params)))
        sizes.append(found)
    # weights are as large for three genes as for two
    return max(three - two for two, three in zip(*sizes, strict=True))
