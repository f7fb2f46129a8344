"""What networks are trained to do and how they are judged, said in one place."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from deepchrome.training.ranking import auroc_batched


@dataclass(frozen=True)
class Objective:
    """A loss, its slope, a link and a score, all of a network's output and the target of genes.

    loss: of each gene, of (output, target). slope: its derivative with respect to the output.
    link: from the output to what a person reads. score: of each of several networks, of (output,
    target, mask), each of shape=(networks, genes), mask true where there is a gene.
    score_name: how the score is called. higher_is_better: which of two scores is the better one.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]
    link: Callable[[Tensor], Tensor]
    score: Callable[[Tensor, Tensor, Tensor], Tensor]
    score_name: str
    higher_is_better: bool

    def better(self, one: float, other: float) -> bool:
        """Tell whether a score is better than another."""
        return one > other if self.higher_is_better else one < other


HIGH = Objective(
    loss=lambda output, target: binary_cross_entropy_with_logits(output, target, reduction="none"),
    slope=lambda output, target: output.sigmoid() - target,
    link=lambda output: output.sigmoid(),
    score=lambda output, target, mask: auroc_batched(target, output, mask),
    score_name="AUROC",
    higher_is_better=True,
)
"""High expression (1) or not (0): cross-entropy of the log-odds, judged by AUROC."""
