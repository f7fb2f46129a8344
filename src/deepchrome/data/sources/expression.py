"""Expression tables: Roadmap's and one's own, as nf-core, R and others write them."""

from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome.data.reference import EXPRESSION_FILE
from deepchrome.data.sources.genes import without_version
from deepchrome.data.sources.names import GENE_NAME
from deepchrome.data.sources.text import open_text, unquoted
from deepchrome.errors import DeepChromeError, listing, nearest

FILE_NAME = EXPRESSION_FILE
"""The name of the table in the Roadmap data portal and beside raw data."""

TABLE = "expression.tsv"
"""The name of a table of one's own."""


IDS = ("gene_id", "geneid", "gene", "gene_name", "ensembl_gene_id", "ensembl_id", "name", "id", "")
"""What heads the column of gene ids, in lower case; "" in tables that R or pandas wrote."""

_EXPECTED = "a table of expression: gene_id and a column for each cell type, separated by tabs"


def read_rpkm(path: Path) -> pd.DataFrame:
    """Read Roadmap's expression table: shape=(genes, cell types), indexed by gene_id.

    Raises DeepChromeError as `read_columns` does; every column is a cell type.
    """
    return read_columns(path, None)[0]


def of_folder(
    raw: Path, known: list[str], cells: list[str]
) -> tuple[pd.DataFrame, Path, list[str]]:
    """Return the expression of the wanted cell types, the file and notes on it.

    raw: a folder with expression.tsv or Roadmap's table. known: all cell types of the folder.
    Gene ids have no version. Raises DeepChromeError where there is no table, or two, and for every
    fault of it.
    """
    own = [raw / f"{TABLE}{end}" for end in ("", ".gz", ".bgz")]
    found = [path for path in (*own, raw / FILE_NAME) if path.is_file()]
    if len(found) != 1:
        raise DeepChromeError(
            f"{raw}: {listing(path.name for path in found) or 'no expression table'} here; "
            f"expected one of {TABLE}, {TABLE}.gz (gene_id and a column for each cell "
            f"type) and Roadmap's {FILE_NAME}"
        )
    path = found[0]
    rpkm, notes = read_columns(path, cells, known)
    rpkm.index = pd.Index(without_version(pd.Series(rpkm.index)), name="gene_id")
    repeated = rpkm.index[rpkm.index.duplicated()]
    if len(repeated):
        raise DeepChromeError(
            f"{path}: gene {listing(repeated)} stands there more than once, in several versions"
        )
    return rpkm, path, notes


def read_columns(
    path: Path, cells: list[str] | None, known: list[str] | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Read columns of an expression table, plain or gzip, and notes on it.

    cells: the columns wanted; None: all. known: columns that are cell types as well; any other is
    noted. Values are as printed, RPKM, FPKM or TPM: shape=(genes, cell types), indexed by gene_id.
    R's quotes, a header that lacks the name of the first column (R's write.table) and the tab that
    ends every data row of Roadmap's table are understood.
    Raises DeepChromeError, with the physical line, for a repeated gene or column, a value that is
    no number of at least 0, a row of another length, and a cell type that is not there.
    """
    lines, header, rows = _rows(path)
    notes = []
    if rows and len(rows[0]) == len(header) + 1 and header[0].lower() not in IDS:
        header = ["", *header]
        notes.append(f"{path}: the header lacks the first column's name; taken for gene_id")
    at = _id_column(path, lines[0], header)
    found = [name for i, name in enumerate(header) if i != at]
    wanted = found if cells is None else list(cells)
    lacking = [cell for cell in wanted if cell not in found]
    if lacking:
        raise DeepChromeError(
            f"{path}: no column for cell type {listing(lacking)}{nearest(lacking[0], found)}; "
            f"found {listing(found, 10)}"
        )
    repeated = sorted({name for name in wanted if found.count(name) > 1})
    if repeated:
        raise DeepChromeError(f"{path}: line {lines[0]}: column {listing(repeated)} stands twice")
    others = [name for name in found if name not in wanted and name not in (known or [])]
    if others:
        notes.append(f"{path}: columns of no cell type here are left out: {listing(others, 10)}")
    columns = [i for i, name in enumerate(header) if i != at and name in wanted]
    genes, texts = [], []
    for number, row in zip(lines[1:], rows, strict=True):
        if len(row) != len(header):
            raise DeepChromeError(
                f"{path}: line {number}: gene {row[at] if len(row) > at else row[0]}: found "
                f"{len(row)} columns, expected {len(header)} as in the header"
            )
        genes.append(row[at])
        texts.append([row[i] for i in columns])
    _check_genes(path, lines[1:], genes)
    names = [header[i] for i in columns]
    values = _numbers(path, lines[1:], genes, names, texts)
    table = pd.DataFrame(values, index=pd.Index(genes, name="gene_id", dtype=object), columns=names)
    return table[wanted], notes


def _rows(path: Path) -> tuple[list[int], list[str], list[list[str]]]:
    """Return physical line numbers, header and rows; blank lines and comments are none."""
    lines, rows = [], []
    with open_text(path, _EXPECTED) as file:
        for number, line in enumerate(file, start=1):
            text = line.rstrip("\r\n")
            if number == 1 and text.startswith("#1.") and text[3:].strip().isdigit():
                raise DeepChromeError(
                    f"{path}: a GCT file; take its first two lines and the column Description out"
                )
            if text.strip() and not text.startswith("#"):
                lines.append(number)
                rows.append([unquoted(cell) for cell in text.split("\t")])
    if not rows:
        raise DeepChromeError(f"{path}: nothing but comments; expected {_EXPECTED}")
    header = rows.pop(0)
    while len(header) > 1 and not header[-1]:
        header.pop()
    if len(header) < 2:
        raise DeepChromeError(
            f"{path}: line {lines[0]}: found {header[0][:60]!r}, expected 'gene_id' and the cell "
            "types, separated by tabs"
        )
    if not rows:
        raise DeepChromeError(f"{path}: no genes after the header")
    for row in rows:
        if len(row) == len(header) + 1 and not row[-1]:  # Roadmap's rows end in a tab
            row.pop()
    return lines, header, rows


def _id_column(path: Path, line: int, header: list[str]) -> int:
    """Return the place of the column of gene ids."""
    lower = [name.lower() for name in header]
    if "gene_id" in lower:
        return lower.index("gene_id")
    if lower[0] in IDS:
        return 0
    raise DeepChromeError(
        f"{path}: line {line}: found {' '.join(header)[:60]!r}, expected 'gene_id' and the cell "
        "types, separated by tabs"
    )


def _check_genes(path: Path, lines: list[int], genes: list[str]) -> None:
    seen: dict[str, int] = {}
    for number, gene in zip(lines, genes, strict=True):
        if not GENE_NAME.fullmatch(gene):
            raise DeepChromeError(
                f"{path}: line {number}: gene_id: found {gene[:60]!r}, expected an id of letters, "
                "digits and _.:()@|+,'*~-, 100 at most"
            )
        if seen.setdefault(gene, number) != number:
            raise DeepChromeError(
                f"{path}: gene {gene} stands there more than once, in lines {seen[gene]} and "
                f"{number}"
            )


def _numbers(
    path: Path, lines: list[int], genes: list[str], names: list[str], texts: list[list[str]]
) -> np.ndarray:
    """Return text as numbers, shape=(genes, cell types)."""
    written = pd.DataFrame(texts, dtype=object)
    values = written.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise DeepChromeError(
            f"{path}: line {lines[row]}: gene {genes[row]}, cell type {names[column]}: found "
            f"{texts[row][column][:40]!r}, expected an RPKM, FPKM or TPM (a number of at least 0)"
        )
    return values


_LARGEST_SUM = 5e6
"""TPM add up to 1,000,000, RPKM to about as many; reads of a sample to ten million or more."""

_FEWEST_HIGH = 0.4
"""By the median half of the genes are high, less those that have just its value."""


def doubts(rpkm: pd.DataFrame, path: Path) -> list[str]:
    """Return warnings of what is unusual for RPKM, FPKM or TPM, by cell type.

    rpkm: shape=(genes, cell types). Raises DeepChromeError for a cell type none of whose genes is
    above the median: it has one class.
    """
    median = rpkm.median()
    high = (rpkm > median).mean()
    constant = [cell for cell in rpkm if len(rpkm) > 1 and high[cell] == 0]
    if constant:
        first = constant[0]
        raise DeepChromeError(
            f"{path}: cell type {listing(constant)}: of {len(rpkm):,} genes none is above the "
            f"median ({median[first]:g} in {first}), so that none is high; expected RPKM, FPKM or "
            "TPM"
        )
    warnings = []
    whole = [cell for cell in rpkm if (rpkm[cell] % 1 == 0).all() and rpkm[cell].max() > 1]
    if whole:
        warnings.append(
            f"{path}: all values of {listing(whole)} are whole numbers. Are they counts of reads? "
            "Counts follow the length of genes; expected RPKM, FPKM or TPM"
        )
    total = rpkm.sum()
    large = [cell for cell in rpkm if total[cell] > _LARGEST_SUM and cell not in whole]
    if large:
        warnings.append(
            f"{path}: the values of {listing(large)} add up to {total[large].max():,.0f}, TPM to "
            "1,000,000 and RPKM to about as many. Are they counts of reads? Counts follow the "
            "length of genes"
        )
    zero = [cell for cell in rpkm if median[cell] == 0]
    if zero:
        warnings.append(
            f"{path}: half of the genes of {listing(zero)} or more have no expression: the median "
            f"is 0 and 'high' means above 0 ({high[zero].min():.0%} to {high[zero].max():.0%} of "
            "the genes)"
        )
    few = [cell for cell in rpkm if high[cell] < _FEWEST_HIGH and cell not in zero]
    if few:
        warnings.append(
            f"{path}: many genes of {listing(few)} have the median's very value (a floor of the "
            f"table's?), and are low: only {high[few].min():.0%} to {high[few].max():.0%} of the "
            "genes are high"
        )
    return warnings
