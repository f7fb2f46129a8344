"""Tapes: steps recorded on a CPU as flat lists of operators.

They rest on parts of torch that it does not promise to keep; `record` compares each with the step.
"""

import operator
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deepchrome.training.record import Step

_RANDOM = torch.Tag.nondeterministic_seeded


class Tape:
    """Records steps on a CPU."""

    warming = 0

    def plain(self, step: Step, inputs: tuple[Tensor, ...]) -> Tensor:
        """Take a step as it is."""
        return step(*inputs)

    def record(self, step: Step, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Step | None]:
        """Take a step, writing down its operators."""
        with _Recorder(inputs) as recorder:
            result = step(*inputs)
        if not recorder.whole:
            return result, None
        function, held = recorder.end(result), recorder.held

        @torch.inference_mode()
        def replay(*inputs: Tensor) -> Tensor:
            return function(*inputs, *held)

        return result, replay


class _Recorder(TorchDispatchMode):
    """Writes down every operator that runs, below autograd and vmap, as a function.

    inputs: the tensors that the function will be given. Others that operators took and none made
    are `held`: the function is given them after its inputs. whole: whether the function does all
    that was done; it cannot where Python looked at a tensor's numbers.
    """

    def __init__(self, inputs: tuple[Tensor, ...]):
        super().__init__()
        self.graph = fx.Graph()
        self.held: list[Tensor] = []
        self.whole = True
        self._nodes: dict[int, fx.Node] = {}
        self._seen: list[Tensor] = []  # kept, so that an id stays that of one tensor
        self._made: set[int] = set()
        self._places: dict[Any, fx.Node] = {}
        for one in inputs:
            self._name(one, self.graph.placeholder(f"given_{len(self._nodes)}"))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and to skip it torch imports it: 2 s

    def end(self, result: Tensor) -> Step:
        """Return the function; it returns what became of `result`."""
        self.graph.output(self._nodes[id(result)])
        self.graph.eliminate_dead_code(
            lambda node: node.op in ("placeholder", "output") or node.meta.get("kept", False)
        )
        self._seen.clear()
        return fx.GraphModule(torch.nn.Module(), self.graph).forward

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        known = [t for t in _tensors([args, kwargs]) if self._changes(t)]
        if func is torch.ops.aten._local_scalar_dense.default:
            self.whole = False
        view = func.is_view or func is torch.ops.aten._unsafe_view.default
        same = self._places.get(_place(result)) if isinstance(result, Tensor) and view else None
        if known and same is not None:  # such as detach: of no use without autograd
            self._name(result, same)
        elif known or not func.is_view:  # a view of what is held is held itself
            node = self._call(func, args, kwargs or {})
            node.meta["kept"] = func._schema.is_mutable or _RANDOM in func.tags
            if isinstance(result, Tensor):
                self._name(result, node)
            elif isinstance(result, tuple | list):
                for i, one in enumerate(result):
                    self._name(one, self.graph.call_function(operator.getitem, (node, i)))
            if not func.is_view and func.overloadpacket.__name__[-1] != "_":
                self._made.update(_storage(t) for t in _tensors(result))
        return result

    def _call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> fx.Node:
        """Write down a call, by the name in torch or Tensor where there is one: half the time."""
        name = func.overloadpacket.__name__.replace("_unsafe_view", "view")
        arguments: Any = [fx.node.map_aggregate(part, self._node) for part in (args, kwargs)]
        if hasattr(torch._C._VariableFunctions, name):
            return self.graph.call_function(getattr(torch._C._VariableFunctions, name), *arguments)
        if hasattr(torch._C.TensorBase, name):
            return self.graph.call_method(name, *arguments)
        return self.graph.call_function(func, *arguments)

    def _name(self, tensor: Tensor, node: fx.Node) -> None:
        self._seen.append(tensor)
        self._nodes[id(tensor)] = node
        self._places[_place(tensor)] = node

    def _changes(self, tensor: Tensor) -> bool:
        """Whether a tensor is given to the function, or made by it: another each time."""
        return id(tensor) in self._nodes and not any(tensor is one for one in self.held)

    def _node(self, argument: Any) -> Any:
        """Return what stands for an argument in the graph."""
        if not isinstance(argument, Tensor):
            return argument
        if id(argument) not in self._nodes:
            if _storage(argument) in self._made:  # made by an operator that was not seen
                self.whole = False
            self._name(argument, self.graph.placeholder(f"held_{len(self.held)}"))
            self.held.append(argument)
        return self._nodes[id(argument)]


def _tensors(nested: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(nested) if isinstance(leaf, Tensor)]


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Return what is equal for two tensors that are the same but for autograd."""
    return (
        _storage(tensor),
        tensor.storage_offset(),
        tensor.size(),
        tensor.stride(),
        tensor.dtype,
    )


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
