"""Gene tables: where each gene lies, from the package, a TSV or a GTF file."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome import reference
from deepchrome.errors import DeepChromeError, listing

COLUMNS = ["symbol", "chrom", "tss", "strand"]


def read_genes(source: str) -> pd.DataFrame:
    """Return symbol, chrom, tss and strand, indexed by gene_id without its version.

    source: "gencode_v10" (the 19,795 genes of the published archive, hg19, in the package), or the
    path of a TSV (columns gene_id, chrom, tss, strand and, if known, symbol) or a GTF, plain or
    gzip. A gene's TSS is its 5' end, 1-based.
    Raises DeepChromeError that names the file and what is wrong with it.
    """
    if source == "gencode_v10":
        table = reference.genes().drop_duplicates("gene_id")
        return table.set_index("gene_id")[COLUMNS]
    path = Path(source)
    if not path.is_file():
        raise DeepChromeError(
            f"data.genes: {path}: no such file; expected 'gencode_v10' or a TSV or GTF file"
        )
    name = path.name.removesuffix(".gz")
    try:
        table = _read_gtf(path) if name.endswith((".gtf", ".gff")) else _read_tsv(path)
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise DeepChromeError(f"{path}: not a readable gene table: {error}") from None
    bad = table[~table["strand"].isin(["+", "-"])]
    if len(bad):
        row = bad.iloc[0]
        raise DeepChromeError(
            f"{path}: gene {row['gene_id']}: strand: found {row['strand']!r}, expected '+' or '-'"
        )
    table["gene_id"] = table["gene_id"].str.replace(r"\.\d+$", "", regex=True)
    table = table.drop_duplicates(["gene_id", "chrom", "tss", "strand"])
    repeated = table.loc[table["gene_id"].duplicated(), "gene_id"]
    if len(repeated):
        raise DeepChromeError(
            f"{path}: gene {listing(repeated)} stands there with different positions"
        )
    return table.set_index("gene_id")[COLUMNS]


def _read_tsv(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, sep="\t", dtype=str, comment="#")
    needed = ["gene_id", "chrom", "tss", "strand"]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DeepChromeError(
            f"{path}: line 1: no column {listing(missing)}; expected {', '.join(needed)} "
            f"and, if known, symbol; found {listing(table.columns, 10)}"
        )
    tss = pd.to_numeric(table["tss"], errors="coerce")
    bad = tss.isna() | (tss < 1) | (tss % 1 != 0)
    if bad.any():
        row = table[bad].iloc[0]
        raise DeepChromeError(
            f"{path}: gene {row['gene_id']}: tss: found {row['tss']!r}, "
            "expected a position of at least 1"
        )
    table["tss"] = tss.astype("int64")
    if "symbol" not in table:
        table["symbol"] = None
    return table


def _read_gtf(path: Path) -> pd.DataFrame:
    names = ["chrom", "source", "feature", "start", "end", "score", "strand", "frame", "attributes"]
    table = pd.read_csv(path, sep="\t", header=None, names=names, comment="#", dtype=str)
    table = table[table["feature"] == "gene"]
    if not len(table):
        raise DeepChromeError(f"{path}: no line whose third column is 'gene'")
    plus = table["strand"] == "+"
    return pd.DataFrame(
        {
            "gene_id": table["attributes"].str.extract(r'gene_id "([^"]+)"')[0],
            "symbol": table["attributes"].str.extract(r'gene_name "([^"]+)"')[0],
            "chrom": table["chrom"],
            "tss": table["start"].where(plus, table["end"]).astype("int64"),
            "strand": table["strand"],
        }
    )


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
