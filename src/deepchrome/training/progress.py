"""What a person sees of training while it runs."""

from deepchrome.console import Advance
from deepchrome.training.jobs import Epoch, Job


class TrainingProgress:
    """Moves a bar on with the epochs of training, and notes the mean best validation AUROC.

    left: for each job, at most, the training genes that it will see.
    """

    def __init__(self, advance: Advance, left: dict[Job, int]):
        self._advance, self._left = advance, left
        self._best: dict[Job, float] = {}
        self._seen = 0

    def __call__(self, epoch: Epoch) -> None:
        self._seen += epoch.genes_seen
        for job, auroc in zip(epoch.jobs, epoch.valid_auroc, strict=True):
            self._best[job] = max(auroc, self._best.get(job, 0))
            self._left[job] = 0
        for job in epoch.going[:1]:
            self._left[job] = epoch.genes_left  # of the whole group
        # models stop early: there is less to do
        self._advance.total(self._seen + sum(self._left.values()))
        mean = sum(self._best.values()) / len(self._best)
        self._advance(epoch.genes_seen, f"AUROC {mean:.3f}")
