"""Steps recorded once and run again, without what it takes to come to their operators.

On a CPU a step is recorded as a flat list of operators, a tape (`tape`): small operators take less
time than autograd, vmap and modules take to come to them. On a GPU it is recorded as a CUDA graph:
one launch for each step, not for each operator. docs/performance.md tells what that gains.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from deepchrome.console import warn

Step = Callable[..., Tensor]


class Capture(Protocol):
    """A way to record steps. warming: how many steps run as they are before one is recorded."""

    warming: int

    def plain(self, step: Step, inputs: tuple[Tensor, ...]) -> Tensor:
        """Take a step as it is."""

    def record(self, step: Step, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Step | None]:
        """Take a step; return its result and what takes it again, None where that cannot be."""


class Recording:
    """A step that runs from its recording, one for each layout of its inputs.

    state: returns the tensors that the step changes in place. The first replay of each recording is
    compared with the step itself, to the last bit; where they differ, it warns and takes plain
    steps from then on. A recording reads and writes fixed memory: `forget` all when it has moved.
    """

    def __init__(self, step: Step, capture: Capture, state: Callable[[], list[Tensor]] = list):
        self._step, self._capture, self._state = step, capture, state
        self.faulty = False
        self.forget()

    def forget(self) -> None:
        """Drop all recordings."""
        self._warmed: dict[Any, int] = {}
        self._replays: dict[Any, Step] = {}
        self._checked: set[Any] = set()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Take a step."""
        layout = tuple((tensor.shape, tensor.stride()) for tensor in inputs)
        if layout in self._checked:
            return self._replays[layout](*inputs)
        if self.faulty:
            return self._step(*inputs)
        if layout in self._replays:
            return self._check(layout, inputs)
        warmed = self._warmed.setdefault(layout, 0)
        if warmed < self._capture.warming:
            self._warmed[layout] += 1
            return self._capture.plain(self._step, inputs)
        result, replay = self._capture.record(self._step, inputs)
        if replay:
            self._replays[layout] = replay
        else:
            self.faulty = True
        return result

    def _check(self, layout: Any, inputs: tuple[Tensor, ...]) -> Tensor:
        """Take one step, and once more from the recording; go on from the step itself."""
        before = [tensor.clone() for tensor in self._state()]
        found = [self._replays[layout](*inputs).clone(), *(t.clone() for t in self._state())]
        for tensor, earlier in zip(self._state(), before, strict=True):
            tensor.copy_(earlier)
        result = self._step(*inputs)
        expected = [result, *self._state()]
        if all(_same_bits(a, b) for a, b in zip(found, expected, strict=True)):
            self._checked.add(layout)
        else:
            self.faulty = True
            warn(
                "a recorded step differs from the step itself; training goes on without "
                "recordings (train.record: off does so from the start)"
            )
        return result


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b) or torch.equal(a.nan_to_num(), b.nan_to_num())


class CudaGraph:
    """Records steps on a GPU. All graphs share one pool of memory and one stream."""

    warming = 3

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()
        self._pool = torch.cuda.graph_pool_handle()

    def plain(self, step: Step, inputs: tuple[Tensor, ...]) -> Tensor:
        """Take a step as it is, on the stream that records: it sets up what cannot be recorded."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            result = step(*inputs)
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def record(self, step: Step, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Step | None]:
        """Record a step, and take it."""
        graph, places = torch.cuda.CUDAGraph(), [tensor.clone() for tensor in inputs]
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = step(*places)

        def replay(*inputs: Tensor) -> Tensor:
            for place, tensor in zip(places, inputs, strict=True):
                place.copy_(tensor)
            graph.replay()
            return result.clone()

        return replay(*inputs), replay
