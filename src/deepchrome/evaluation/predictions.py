"""Predictions on disk: what every later statistic is computed from.

Columns: train_cell, test_cell, seed, gene_id, split, label, score (probability of high).
"""

from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from deepchrome.data.dataset import CellType

_NAME = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("train_cell", _NAME),
        ("test_cell", _NAME),
        ("seed", pa.int32()),
        ("gene_id", _NAME),
        ("split", _NAME),
        ("label", pa.int8()),
        ("score", pa.float64()),
    ]
)


class Writer:
    """Writes one parquet file, one tested cell type after the other, so that memory is bounded."""

    def __init__(self, path: Path):
        self._file = pq.ParquetWriter(path, SCHEMA, compression="zstd")

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(
        self, train_cells: list[str], seeds: list[int], test: CellType, score: np.ndarray
    ) -> pd.DataFrame:
        """Append scores of shape=(train cell types, seeds, genes); return them as rows."""
        n = len(test.gene_id)
        repeats = len(train_cells) * len(seeds)
        rows = pd.DataFrame(
            {
                "train_cell": np.repeat(np.array(train_cells, object), len(seeds) * n),
                "test_cell": test.cell,
                "seed": np.tile(np.repeat(seeds, n), len(train_cells)).astype(np.int32),
                "gene_id": np.tile(test.gene_id, repeats),
                "split": np.tile(test.split, repeats),
                "label": np.tile(test.y, repeats),
                "score": score.reshape(-1),
            }
        )
        self._file.write_table(pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False))
        return rows
