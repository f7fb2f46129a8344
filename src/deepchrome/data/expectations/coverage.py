"""What is expected of a cell type's coverage: values on every chromosome, in nearly all genes."""

import numpy as np

from deepchrome.data import zeros
from deepchrome.data.expectations import WARNING, TableExpectations, absent

MOST_ZERO = 0.05
"""Share of genes without any value; none in Roadmap's samples, some in data of called peaks."""


def of_zeros(gene_id: np.ndarray, X: np.ndarray, chrom: np.ndarray) -> list[TableExpectations]:
    """State that marks have values on every chromosome, and nearly all genes have some.

    X: shape=(genes, bins, marks). chrom: shape=(genes,), null where it is not known.
    """
    stated = [
        TableExpectations(
            zeros.by_gene(gene_id, X),
            [
                absent(
                    "no value",
                    WARNING,
                    f"at least {1 - MOST_ZERO:.0%} of the genes have a value in some mark",
                    "The files do not cover these genes, or hold sparse peaks; look at where the "
                    "genes lie.",
                    1 - MOST_ZERO,
                )
            ],
            "gene_id",
        )
    ]
    places = zeros.by_chromosome(X, chrom)
    if len(places):
        stated.append(
            TableExpectations(
                places,
                [
                    absent(
                        zeros.NO_MARK,
                        WARNING,
                        "every chromosome has values of some mark",
                        "The files lack this chromosome or name it otherwise, so its genes read "
                        "zero; add it, or leave out its genes.",
                    ),
                    absent(
                        zeros.SOME_MARKS,
                        WARNING,
                        "each mark has values on every chromosome that has genes enough",
                        "The mark's file lacks this chromosome or names it otherwise, so that it "
                        "reads zero there.",
                    ),
                ],
                "chrom",
            )
        )
    return stated
