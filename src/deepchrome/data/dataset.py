"""The dataset: the one schema that every stage after `ingest` reads.

dataset.json            what it is: cell types, marks, values, source, label rule, content hash;
                        of each cell type, how many training genes and a hash of what is trained on
genes.parquet           gene_id, symbol, chrom, tss, strand, split, truncated: whether the window
                        leaves the chromosome (unknown: null)
labels.parquet          cell, gene_id, rpkm, label, published_label (unknown: null)
signals/<cell>.parquet  gene_id, bin, <five marks>: 100 rows a gene, sorted by gene and bin
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepchrome import MARKS, N_BINS, seals
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.files import read_json

REMEDY = "make the dataset again with 'dvc repro ingest'"


@dataclass(frozen=True)
class CellType:
    """One cell type in memory; all arrays are in the order of `gene_id`, which is sorted.

    `X`: shape=(genes, bins, marks), uint16 counts of reads or float32 signal. `y`: shape=(genes,),
    int8, 1 is high. `split`: shape=(genes,), "train", "valid" or "test".
    """

    cell: str
    gene_id: np.ndarray
    X: np.ndarray
    y: np.ndarray
    split: np.ndarray

    def part(self, split: str) -> "CellType":
        """Return the genes of one split."""
        return self._only(self.split == split)

    def without(self, split: str) -> "CellType":
        """Return the genes of the other splits."""
        return self._only(self.split != split)

    def _only(self, keep: np.ndarray) -> "CellType":
        return CellType(self.cell, self.gene_id[keep], self.X[keep], self.y[keep], self.split[keep])


class _Training(BaseModel):
    model_config = ConfigDict(strict=True)

    genes: int = Field(ge=0)
    hash: str


class _Info(BaseModel):
    """What the code reads of `dataset.json`; there may be more keys."""

    model_config = ConfigDict(strict=True)

    cells: list[str]
    values: Literal["counts", "signal"]
    source: Literal["simulated", "roadmap", "own"]
    orientation: Literal["genomic", "transcription"]
    h3k4me3_halved: bool
    labels: Literal["rpkm", "published"]
    rpkm_median: dict[str, float | None]
    training: dict[str, _Training] = {}
    hash: str


class Dataset:
    """A dataset on disk, read piece by piece.

    Raises DeepChromeError where `path` holds none, and wherever a file is missing or damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.info: dict[str, Any] = seals.read_json(self.path / "dataset.json", REMEDY)
        self._check_info()

    def _check_info(self) -> None:
        where = f"{self.path}/dataset.json"
        try:
            _Info.model_validate(self.info)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise DeepChromeError(f"{where}: {key}: {first['msg']}; {REMEDY}") from None
        for cell in self.cells:
            if Path(cell).name != cell:  # it becomes a part of paths
                raise DeepChromeError(f"{where}: cells: {cell!r} is no cell type's name; {REMEDY}")
        for key in ("rpkm_median", *(["training"] if "training" in self.info else [])):
            if self.info[key].keys() != set(self.cells):
                raise DeepChromeError(
                    f"{where}: {key} is of {listing(self.info[key])}, the cell types are "
                    f"{listing(self.cells)}; {REMEDY}"
                )

    @property
    def cells(self) -> list[str]:
        """The cell types, in order."""
        return list(self.info["cells"])

    @property
    def hash(self) -> str:
        """The content hash: the same for the same genes, signals, labels and splits."""
        return str(self.info["hash"])

    @property
    def training_genes(self) -> dict[str, int]:
        """How many training genes each cell type has."""
        return {cell: one["genes"] for cell, one in self._training.items()}

    @property
    def training_hashes(self) -> dict[str, str]:
        """`training_hash` of each cell type."""
        return {cell: one["hash"] for cell, one in self._training.items()}

    @property
    def _training(self) -> dict[str, Any]:
        if "training" not in self.info:
            raise DeepChromeError(
                f"{self.path}/dataset.json: found no 'training': an earlier version made this "
                "dataset; make it again with 'dvc repro ingest'"
            )
        return self.info["training"]

    @cached_property
    def genes(self) -> pd.DataFrame:
        """`genes.parquet`, indexed by gene_id."""
        return self._table("genes.parquet").to_pandas().set_index("gene_id")

    @cached_property
    def labels(self) -> pd.DataFrame:
        """`labels.parquet`: cell, gene_id, rpkm, label, published_label."""
        return self._table("labels.parquet").to_pandas()

    def _table(self, name: str, columns: list[str] | None = None, **options: Any) -> pa.Table:
        """Read genes.parquet or labels.parquet; its checksum is looked at once."""
        path = self.path / name
        if name not in self._checked:
            self._checked[name] = seals.open_parquet(path, REMEDY)
        return seals.parse(self._checked[name], str(path), REMEDY, columns, **options)

    @cached_property
    def _checked(self) -> dict[str, pa.Buffer]:
        return {}

    def signals_path(self, cell: str) -> Path:
        """Where a cell type's signals lie."""
        return self.path / "signals" / f"{cell}.parquet"

    def load(self, cell: str, mark_by_mark: bool = False) -> CellType:
        """Read one cell type whole.

        mark_by_mark: how X lies in memory, so that its marks are reduced over bins five times as
        fast; otherwise gene by gene. Its shape is the same.
        """
        if cell not in self.cells:
            raise DeepChromeError(
                f"cell type {cell!r} is not in {self.path}{nearest(cell, self.cells)} "
                f"It has {listing(self.cells)}."
            )
        table = seals.read_parquet(self.signals_path(cell), REMEDY, ["gene_id", *MARKS])
        gene_id = _every_gene(table["gene_id"])
        dtype = table.schema.field(MARKS[0]).type.to_pandas_dtype()
        if mark_by_mark:
            X = np.empty((len(MARKS), len(gene_id), N_BINS), dtype).transpose(1, 2, 0)
        else:
            X = np.empty((len(gene_id), N_BINS, len(MARKS)), dtype)
        for i, mark in enumerate(MARKS):
            parts = [chunk.to_numpy() for chunk in table[mark].chunks]
            np.concatenate(parts, out=X[..., i].reshape(-1, copy=False))
        labels = self._table("labels.parquet", ["gene_id", "label"], filters=[("cell", "=", cell)])
        high = labels["label"].cast(pa.int8())
        ids, split = self._genes_of(gene_id)
        return CellType(
            cell=cell,
            gene_id=ids,
            X=X,
            y=_in_order(_strings(labels["gene_id"]), high.to_numpy(), gene_id),
            split=split,
        )

    def _genes_of(self, gene_id: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of genes as an array of str, and their splits."""
        every, ids, splits = self._split_of_gene
        if gene_id.equals(every):
            return ids, splits
        return gene_id.to_numpy(), _in_order(every, splits, gene_id)

    @cached_property
    def _split_of_gene(self) -> tuple[pa.ChunkedArray, np.ndarray, np.ndarray]:
        """The id of each gene of `genes.parquet`, the same as an array of str, and its split."""
        table = self._table("genes.parquet", ["gene_id", "split"])
        every = _strings(table["gene_id"])
        return every, every.to_numpy(), _strings(table["split"]).to_numpy()


def _every_gene(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return one gene_id for each run of 100 rows; decoding every row is slow."""
    found, seen = [], 0
    for chunk in column.chunks:
        codes = chunk.indices.to_numpy()[-seen % N_BINS :: N_BINS]
        found.append(chunk.dictionary.take(pa.array(codes)))
        seen += len(chunk)
    return pa.chunked_array(found, pa.string())


def _strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text as one type: columns of another are never equal."""
    return column.cast(pa.string())


def _in_order(gene_id: pa.ChunkedArray, values: np.ndarray, wanted: pa.ChunkedArray) -> np.ndarray:
    """Return the values of genes, one for each id, in the order of the wanted ids."""
    if gene_id.equals(wanted):  # as a rule; to look them up takes far longer
        return values
    return pd.Series(values, gene_id.to_numpy()).loc[wanted.to_numpy()].to_numpy()


def write_signals(path: Path, gene_id: np.ndarray, X: np.ndarray) -> None:
    """Write one cell type's signals: X of shape=(genes, bins, marks), genes sorted by id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    n = len(gene_id)
    codes = pa.array(np.repeat(np.arange(n, dtype=np.int32), N_BINS))
    columns: dict[str, pa.Array] = {
        "gene_id": pa.DictionaryArray.from_arrays(codes, pa.array(gene_id, pa.string())),
        "bin": pa.array(np.tile(np.arange(1, N_BINS + 1, dtype=np.uint8), n)),
    }
    flat = X.reshape(n * N_BINS, len(MARKS))
    for i, mark in enumerate(MARKS):
        columns[mark] = pa.array(np.ascontiguousarray(flat[:, i]))
    pq.write_table(pa.table(columns), path, compression="lz4")  # the fastest to read
    seals.seal(path)


def write_genes(path: Path, genes: pd.DataFrame) -> None:
    """Write genes.parquet."""
    genes.to_parquet(path, index=False)
    seals.seal(path)


def write_labels(path: Path, labels: Sequence[pd.DataFrame]) -> None:
    """Write the rows of labels.parquet, a frame for each cell type.

    Each becomes a row group, so that those of one cell type are found without reading the others.
    """
    table = pa.Table.from_pandas(pd.concat(labels), preserve_index=False)
    with pq.ParquetWriter(path, table.schema) as writer:
        start = 0
        for frame in labels:
            writer.write_table(table.slice(start, len(frame)))
            start += len(frame)
    seals.seal(path)


def content_hash(cell: CellType) -> str:
    """Return SHA-256 over all of a cell type that a model can learn from, as 64 hex digits."""
    digest = hashlib.sha256()
    for part in (cell.cell, "\n".join(cell.gene_id), "\n".join(cell.split)):
        digest.update(part.encode() + b"\0")
    digest.update(np.ascontiguousarray(cell.X).tobytes())
    digest.update(cell.y.astype(np.int8).tobytes())
    return digest.hexdigest()


def origin(info: dict[str, Any]) -> str:
    """Say in a few words what the data of a `dataset.json` are; simulated ones are always named."""
    source = {"simulated": "simulated data", "roadmap": "Roadmap data", "own": "own data"}
    labels = "" if info["labels"] == "rpkm" else ", published labels"
    return f"{source[info['source']]}{labels}"


def training_hash(cell: CellType) -> str:
    """Return SHA-256 over what training sees of a cell type: not its test genes."""
    digest = hashlib.sha256()
    for split in ("train", "valid"):
        part = cell.part(split)
        for bytes_ in ("\n".join(part.gene_id).encode(), part.X.tobytes(), part.y.tobytes()):
            digest.update(hashlib.sha256(bytes_).digest())
    return digest.hexdigest()


def combined_hash(hashes: list[str]) -> str:
    """Return one short hash (16 hex digits) for the cell types' content hashes, in order."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]


def check_validated(data: Dataset, path: str | Path) -> None:
    """Refuse a dataset whose content is not the one that stage validate passed.

    path: the stage's metrics. Raises DeepChromeError where they are missing or of other content.
    """
    try:
        passed = read_json(path, "run 'dvc repro validate'").get("dataset")
    except DeepChromeError:
        passed = None
    if passed != data.hash:
        raise DeepChromeError(
            f"{data.path}: this dataset has not passed validation ({path} is of "
            f"{passed or 'none'}, the dataset is {data.hash}); run 'dvc repro validate'"
        )
