"""TensorBoard events of a training run: what a person watches while it runs."""

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from deepchrome import MARKS, N_BINS
from deepchrome.data.dataset import Dataset
from deepchrome.data.reference import lineage
from deepchrome.params import GanParams, Params
from deepchrome.training.jobs import Epoch


def run_folder(model: str) -> Path:
    """Return a folder of its own for a run's events.

    It lies in the project's `runs/`, also when a queued experiment runs in a temporary copy
    (DVC_ROOT names the project there), under the experiment's name where it has one.
    """
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    name = os.environ.get("DVC_EXP_NAME") or f"{model}-{stamp}"
    return Path(os.environ.get("DVC_ROOT", ".")) / "runs" / name


def tag(name: str, known: pd.DataFrame) -> str:
    """Return where a job's curve stands: `<lineage>/<cell>`, so that relatives are neighbours."""
    group = re.sub(r"[^-\w.]+", "_", str(known["group"].get(name) or "other"))
    return f"{group}/{name}"


class TrainingLog:
    """Writes losses and validation AUROCs, live; figures, settings and final scores at the end.

    Scalars: `mean/*` over all models; `loss/<lineage>/<cell>` and `valid_auroc/<lineage>/<cell>`
    for each (`<cell>-seed1` where there are several seeds). Custom scalars: one chart a lineage.
    Images: the curves of all, and the best validation AUROC of each cell type.
    """

    def __init__(self, params: Params, data: Dataset, n_parameters: int):
        self.params, self.data, self.n_parameters = params, data, n_parameters
        self.known = lineage(data.cells)

    def __enter__(self) -> "TrainingLog":
        self.writer = SummaryWriter(str(run_folder(self.params.model)), flush_secs=5)
        charts: dict[str, dict[str, list[object]]] = {"AUROC on validation genes": {}, "loss": {}}
        for title, kind in zip(charts, ("valid_auroc", "loss"), strict=True):
            charts[title]["mean over cell types"] = ["Multiline", [f"^mean/{kind}$"]]
            for group, rows in self.known.groupby("group", sort=False):
                names = "|".join(re.escape(tag(cell, self.known)) for cell in rows.index)
                charts[title][str(group) or "other"] = ["Multiline", [f"^{kind}/({names})(-|$)"]]
        self.writer.add_custom_scalars(charts)
        return self

    def __exit__(self, *raised: object) -> None:
        self.writer.close()

    def epoch(self, epoch: Epoch) -> None:
        """Write one epoch of one group."""
        many = len(set(self.params.seeds)) > 1
        for job, loss, auroc in zip(epoch.jobs, epoch.train_loss, epoch.valid_auroc, strict=True):
            name = tag(job.name, self.known) + (f"-seed{job.seed}" if many else "")
            self.writer.add_scalar(f"loss/{name}", loss, epoch.epoch)
            self.writer.add_scalar(f"valid_auroc/{name}", auroc, epoch.epoch)

    def finish(self, history: pd.DataFrame, curves: pd.DataFrame, figures: list[Path]) -> None:
        """Write what is known at the end.

        history, curves: the tables of `plots/train`. figures: PNG files to show.
        """
        for row in curves.itertuples():
            self.writer.add_scalar("mean/loss", row.train_loss, row.epoch)
            self.writer.add_scalar("mean/valid_auroc", row.valid_auroc, row.epoch)
        for path in figures:
            self.writer.add_image(path.stem, plt.imread(path)[..., :3], dataformats="HWC")
        chosen = self.params.chosen
        flat = {k: v for k, v in chosen.model_dump().items() if isinstance(v, int | float | str)}
        flat |= {f"options.{k}": v for k, v in chosen.options.items()}
        flat |= {"model": self.params.model, "protocol": self.params.protocol}
        flat |= {"parameters": self.n_parameters, "cell_types": len(self.data.cells)}
        best = float(history.groupby(["cell", "seed"])["valid_auroc"].max().mean())
        # SummaryWriter.add_hparams would write a second file of events
        file_writer = self.writer._get_file_writer()
        for summary in hparams(flat, {"hparam/valid_auroc": best}):
            file_writer.add_summary(summary)
        self.writer.add_scalar("hparam/valid_auroc", best)


class GanLog:
    """Writes what a GAN is watched by: losses, gradient norms and sheets of samples, live."""

    def __init__(self, params: GanParams):
        self.params = params

    def __enter__(self) -> "GanLog":
        folder = run_folder("gan")
        if os.environ.get("DVC_EXP_NAME"):  # the run's own folder holds the events of training
            folder = folder / "gan"
        self.writer = SummaryWriter(str(folder), flush_secs=5)
        return self

    def __exit__(self, *raised: object) -> None:
        self.writer.close()

    def step(self, row: dict[str, Any]) -> None:
        """Write a row of the training curve: step, and what it is the mean of."""
        for name, value in row.items():
            if name != "step":
                self.writer.add_scalar(f"gan/{name}", value, row["step"])

    def sheet(self, step: int, signals: np.ndarray) -> None:
        """Write a sheet of generated genes. signals: log1p, shape=(genes, bins, marks)."""
        n, gap = len(signals), 2
        shown = np.zeros((n * (len(MARKS) + gap), N_BINS), np.float32)
        for i, one in enumerate(signals):
            top = i * (len(MARKS) + gap)
            shown[top : top + len(MARKS)] = one.T / max(float(one.max()), 1e-9)
        large = shown.repeat(6, axis=0).repeat(6, axis=1)
        self.writer.add_image("gan/genes (rows: marks; upper half: high)", large[None], step)

    def finish(self, figures: list[Path]) -> None:
        """Write the figures."""
        for path in figures:
            image = np.asarray(plt.imread(path))[..., :3]
            self.writer.add_image(f"gan/{path.stem}", image, self.params.steps, dataformats="HWC")
