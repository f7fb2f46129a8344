"""Genes of several parts: a gene that lies elsewhere in another part is told, or refused."""

import pandas as pd
import pytest

from deepchrome.data.gene_table import moved
from deepchrome.errors import DeepChromeError


def table(n: int, **places: tuple[str, float]) -> pd.DataFrame:
    """Return n genes, a million bases apart on chr1, but for those that lie elsewhere."""
    genes = {f"G{i}": ("chr1", 1e6 * (i + 1)) for i in range(n)} | places
    return pd.DataFrame.from_dict(genes, orient="index", columns=["chrom", "tss"])


@pytest.mark.parametrize(
    ("place", "said"),
    [(("chr1", 99_894_988.0), "chr1:99,894,988"), (("chr7", 1e6), "chr7:1,000,000")],
)
def test_a_gene_that_lies_elsewhere_is_told(place, said):
    (warning,) = moved({"first": table(8), "second": table(8, G0=place)})
    assert warning == (
        "1 of the 8 genes that first and second share lie elsewhere in the second "
        f"(G0: chr1:1,000,000, {said}); genes.parquet gives the place in the first"
    )


def test_genes_that_lie_within_half_a_window_or_are_named_otherwise_are_the_same():
    other = table(8, G0=("chr1", 1_005_000.0)).replace({"chrom": {"chr1": "1"}})
    assert moved({"first": table(8), "second": other}) == []
    assert len(moved({"first": table(8), "second": table(8, G0=("chr1", 1_005_001.0))})) == 1
    assert moved({"first": table(8), "second": table(8, G0=("chr1", float("nan")))}) == []


def test_parts_of_different_assemblies_are_refused():
    places = {f"G{i}": ("chr1", 5e6 + 1e6 * i) for i in range(3)}
    with pytest.raises(DeepChromeError, match="of different assemblies"):
        moved({"first": table(8), "second": table(8, **places)})
