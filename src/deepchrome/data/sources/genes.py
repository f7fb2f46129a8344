"""Gene tables: where each gene lies, from the package, a TSV, GTF or BED file."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome.data import reference
from deepchrome.errors import DeepChromeError, listing

COLUMNS = ["symbol", "chrom", "tss", "strand"]

PACKAGED = "gencode_v10"
"""Names the 19,795 genes of the published archive, hg19, that the package holds."""


def named_table(name: str, raw: Path) -> str:
    """Return the source, for `read_genes`, of the gene table that data.genes names.

    name: "gencode_v10", or a file in the raw directory `raw`: its path there, or any path that
    leads into it. A table elsewhere is refused: the pipeline depends on `raw` alone.
    """
    if name == PACKAGED:
        return name
    for path in (raw / name, Path(name)):
        if path.is_file() and path.resolve().is_relative_to(raw.resolve()):
            return str(path)
    if Path(name).is_file() or (raw / name).is_file():
        raise DeepChromeError(
            f"data.genes: {name} lies outside {raw}; copy it into that folder and name it there. "
            "DVC looks for changes in data.raw alone, so results would not follow a change of it"
        )
    raise DeepChromeError(
        f"data.genes: {name}: no such file in {raw}; expected {PACKAGED!r} or a TSV, GTF or BED "
        "file there"
    )


def read_genes(source: str) -> pd.DataFrame:
    """Return symbol, chrom, tss and strand, indexed by gene_id without its version.

    source: "gencode_v10" (the 19,795 genes of the published archive, hg19, in the package), or the
    path of a TSV (columns gene_id, chrom, tss or start and end, strand and, if known, symbol;
    1-based), a GTF or a BED (gene_id as name; starts from 0), plain or gzip. A gene's TSS is its
    5' end, 1-based.
    Raises DeepChromeError that names the file and what is wrong with it.
    """
    if source == PACKAGED:
        table = reference.genes().drop_duplicates("gene_id")
        return table.set_index("gene_id")[COLUMNS]
    path = Path(source)
    if not path.is_file():
        raise DeepChromeError(
            f"data.genes: {path}: no such file; expected {PACKAGED!r} or a TSV or GTF file (or BED)"
        )
    name = path.name.removesuffix(".gz")
    readers = {"gtf": _read_gtf, "bed": _read_bed}
    read = readers.get(name.split(".")[-1], _read_tsv)
    try:
        table = read(path)
    except (
        EOFError,
        gzip.BadGzipFile,
        zlib.error,
        UnicodeDecodeError,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
    ) as error:
        raise DeepChromeError(f"{path}: not a readable gene table: {error}") from None
    if not len(table):
        raise DeepChromeError(f"{path}: no genes here")
    nameless = table["gene_id"].isna() | table["chrom"].isna()
    if nameless.any():
        row = table[nameless].iloc[0]
        raise DeepChromeError(
            f"{path}: a gene without id or chromosome (gene {row['gene_id']}, chromosome "
            f"{row['chrom']}, TSS {row['tss']})"
        )
    bad = table[~table["strand"].isin(["+", "-"])]
    if len(bad):
        row = bad.iloc[0]
        raise DeepChromeError(
            f"{path}: gene {row['gene_id']}: strand: found {row['strand']!r}, expected '+' or '-'"
        )
    table["gene_id"] = without_version(table["gene_id"])
    table = table.drop_duplicates(["gene_id", "chrom", "tss", "strand"])
    repeated = table.loc[table["gene_id"].duplicated(), "gene_id"]
    if len(repeated):
        raise DeepChromeError(
            f"{path}: gene {listing(repeated)} stands there with different positions"
        )
    return table.set_index("gene_id")[COLUMNS]


def without_version(gene_id: pd.Series) -> pd.Series:
    """Return Ensembl ids without the version: ENSG00000000003.10 is ENSG00000000003."""
    return gene_id.str.replace(r"\.\d+$", "", regex=True)


def _read_tsv(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, sep="\t", dtype=str, comment="#")
    place = ["start", "end"] if "tss" not in table and "start" in table else ["tss"]
    needed = ["gene_id", "chrom", *place, "strand"]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DeepChromeError(
            f"{path}: line 1: no column {listing(missing)}; expected gene_id, chrom, tss (or start "
            f"and end), strand and, if known, symbol; found {listing(table.columns, 10)}"
        )
    if place == ["tss"]:
        table["tss"] = _positions(path, table, "tss")
    else:
        table["tss"] = _five_prime(path, table, first=1)
    if "symbol" not in table:
        table["symbol"] = None
    return table


def _read_gtf(path: Path) -> pd.DataFrame:
    names = ["chrom", "source", "feature", "start", "end", "score", "strand", "frame", "attributes"]
    table = pd.read_csv(path, sep="\t", header=None, names=names, comment="#", dtype=str)
    table = table[table["feature"] == "gene"].reset_index(drop=True)
    if not len(table):
        raise DeepChromeError(f"{path}: no line whose third column is 'gene'")
    table["gene_id"] = table["attributes"].str.extract(r'gene_id "([^"]+)"')[0]
    table["symbol"] = table["attributes"].str.extract(r'gene_name "([^"]+)"')[0]
    table["tss"] = _five_prime(path, table, first=1)
    return table[["gene_id", *COLUMNS]]


def _read_bed(path: Path) -> pd.DataFrame:
    names = ["chrom", "start", "end", "gene_id", "score", "strand"]
    table = pd.read_csv(path, sep="\t", header=None, dtype=str, comment="#")
    if len(table.columns) < len(names):
        raise DeepChromeError(
            f"{path}: found {len(table.columns)} columns, expected at least 6 "
            "(chromosome, start, end, gene id, score, strand)"
        )
    table = table.iloc[:, : len(names)].set_axis(names, axis=1)
    table["tss"] = _five_prime(path, table, first=0)
    return table.assign(symbol=None)


def _five_prime(path: Path, table: pd.DataFrame, first: int) -> pd.Series:
    """Return the 5' ends of genes, 1-based. first: the number of a chromosome's first base."""
    start = _positions(path, table, "start", first) + (1 - first)
    end = _positions(path, table, "end")
    reversed_ = start > end
    if reversed_.any():
        row = table[reversed_].iloc[0]
        raise DeepChromeError(
            f"{path}: gene {row['gene_id']}: a reversed interval, {row['start']} to {row['end']}; "
            "expected start < end, on both strands"
        )
    return start.where(table["strand"] == "+", end)


def _positions(path: Path, table: pd.DataFrame, column: str, first: int = 1) -> pd.Series:
    """Return a column of positions as int64."""
    value = pd.to_numeric(table[column], errors="coerce")
    bad = value.isna() | (value < first) | (value % 1 != 0)
    if bad.any():
        row = table[bad].iloc[0]
        raise DeepChromeError(
            f"{path}: gene {row['gene_id']}: {column}: found {row[column]!r}, "
            f"expected a position of at least {first}"
        )
    return value.astype("int64")


def orient(X: np.ndarray, gene_id: np.ndarray, strands: pd.Series) -> np.ndarray:
    """Return the counts with bins in the direction of transcription: bin 1 is upstream.

    Raises DeepChromeError where a gene's strand is not known.
    """
    strand = strands.loc[gene_id]
    unknown = gene_id[strand.isna().to_numpy()]
    if len(unknown):
        raise DeepChromeError(
            f"data.orient: transcription: the strand of gene {listing(unknown)} is not known; "
            "give a gene table that has it (data.genes)"
        )
    minus = (strand == "-").to_numpy()
    X = X.copy()
    X[minus] = X[minus, ::-1]
    return X
