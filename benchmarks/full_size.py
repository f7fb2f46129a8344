"""What the timing benchmarks share: data of full size, the machine in words, repeated timings."""

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import yaml

from deepchrome import params
from deepchrome.data import reference
from deepchrome.data.dataset import Dataset
from deepchrome.training.executor import cores

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
GENES = 19_795
"""Genes of a full-size cell type: 19,795 distinct ones, a third in each of the three files."""


def first(n: int) -> list[str]:
    """Return the first n of Roadmap's cell types."""
    return list(reference.cell_types().index[:n])


@contextlib.contextmanager
def study(folder: Path | None, cells: Sequence[str], genes: int = GENES) -> Iterator[Path]:
    """Yield a folder with these cell types simulated, in `data/raw/demo` and `data/dataset`.

    folder: where the data stay and are used again (0.13 GB a full-size cell type); None: a
    temporary folder. A folder that holds more cell types will do.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = folder.resolve()
        if not _holds(folder, cells, genes):
            folder.mkdir(parents=True, exist_ok=True)
            settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
            settings["simulate"] |= {"cells": list(cells), "genes": genes}
            (folder / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
            for stage in ("simulate", "ingest"):
                print(f"{stage}: {len(cells)} cell types x {genes:,} genes", file=sys.stderr)
                subprocess.run(
                    [sys.executable, "-m", "deepchrome", stage],
                    cwd=folder,
                    env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                    stdout=subprocess.DEVNULL,
                    check=True,
                )
        yield folder


def _holds(folder: Path, cells: Sequence[str], genes: int) -> bool:
    """Say whether a folder has the data already."""
    if not (folder / "data/dataset/dataset.json").is_file():
        return False
    made = json.loads((folder / "data/raw/demo/simulated.json").read_text(encoding="utf-8"))
    return made["genes"] == genes and set(cells) <= set(Dataset(folder / "data/dataset").cells)


def variant(name: str, epochs: int, **changes: Any) -> params.ModelParams:
    """Return a variant of params.yaml under the paper's protocol, that never stops early."""
    chosen = params.paper_protocol(params.load(ROOT / "params.yaml").models[name])
    return chosen.model_copy(update={"epochs": epochs, "patience": epochs, **changes})


def machine() -> str:
    """Return the machine and the versions that matter, in one line."""
    described = [
        f"{_processor()}, {cores()} cores",
        f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB of memory",
        f"Python {platform.python_version()}",
        f"PyTorch {torch.__version__} ({torch.get_num_threads()} threads)",
    ]
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        described.append(
            f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
        )
    return "; ".join(described)


def _processor() -> str:
    """Return the processor's name and its widest vector instructions, as far as Linux says."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                capability = torch.backends.cpu.get_cpu_capability()
                return f"{line.split(':')[1].strip()} ({capability})"
    return platform.processor() or platform.machine()


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the wall time of one call, in seconds, and what it returned."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median and the range of repeated measurements."""
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    if len(values) == 1:
        return f"{middle:,.{digits}f}"
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"
