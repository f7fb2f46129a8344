"""What is read of an experiment beside its predictions."""

import time

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from deepchrome.evaluation import experiments


def test_training_time_from_tensorboard(tmp_path, monkeypatch):
    """A finished run, then one that was interrupted and one that went on from it and finished."""
    assert np.isnan(experiments.training_seconds(tmp_path))

    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)  # the first event of a file is of its making

    def write(seconds, finished):
        nonlocal now
        now += 10_000
        writer = SummaryWriter(str(tmp_path), filename_suffix=f".{seconds}")
        for step in range(5):
            writer.add_scalar("loss/E003", 1.0, step, walltime=now + seconds * step / 5)
        name = "hparam/valid_auroc" if finished else "valid_auroc/E003"
        writer.add_scalar(name, 0.9, 0, walltime=now + seconds)
        writer.close()

    write(1000, finished=True)
    assert experiments.training_seconds(tmp_path) == pytest.approx(1000)
    write(30, finished=False)
    assert experiments.training_seconds(tmp_path) == pytest.approx(1000)
    write(200, finished=True)
    assert experiments.training_seconds(tmp_path) == pytest.approx(230)
