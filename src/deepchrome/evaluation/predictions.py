"""Predictions on disk: what every later statistic is computed from.

Columns: train_cell, test_cell, seed, gene_id, split, label, log_odds (of high).

Log-odds rank genes whose probabilities all round to 1.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from deepchrome import seals
from deepchrome.data.dataset import CellType
from deepchrome.errors import DeepChromeError, listing

_NAME = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("train_cell", _NAME),
        ("test_cell", _NAME),
        ("seed", pa.int32()),
        ("gene_id", _NAME),
        ("split", _NAME),
        ("label", pa.int8()),
        ("log_odds", pa.float32()),
    ]
)


class Writer:
    """Writes one parquet file, one tested cell type after the other, so that memory is bounded."""

    def __init__(self, path: Path):
        self._path = path
        self._file = pq.ParquetWriter(path, SCHEMA, compression="zstd")

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()
        seals.seal(self._path)

    def add(
        self, train_cells: list[str], seeds: list[int], test: CellType, log_odds: np.ndarray
    ) -> None:
        """Append log-odds of shape=(train cell types, seeds, genes)."""
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
                "log_odds": log_odds.reshape(-1),
            }
        )
        self._file.write_table(pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False))


def read(source: str, content: bytes) -> pd.DataFrame:
    """Return the rows of a file of predictions, names as plain strings.

    source: what to call the file in a message. Raises DeepChromeError where it is damaged, or of an
    earlier version.
    """
    remedy = "run 'dvc repro' again, or leave the experiment out"
    table = seals.parse(seals.check(content, source, remedy), source, remedy).to_pandas()
    absent = [name for name in SCHEMA.names if name not in table]
    if absent:
        raise DeepChromeError(
            f"{source}: found {listing(table.columns, 10)}, expected {listing(absent)}: an earlier "
            f"version made these predictions; {remedy}"
        )
    for column in ("train_cell", "test_cell", "gene_id"):
        table[column] = table[column].astype(object)
    return table
