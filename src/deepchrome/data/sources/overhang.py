"""Intervals that hang over the end of their chromosome, as some tools write them.

MACS's bedGraph does, by up to some hundred bases (macs3-project/MACS#438).
"""

from pathlib import Path

import numpy as np


class Overhang:
    """Clips intervals at the ends of chromosomes, and remembers what hung over.

    limits: lengths of chromosomes, where known.
    """

    def __init__(self, limits: dict[str, int]):
        self._limits = limits
        self._over: dict[str, tuple[int, int]] = {}
        """By chromosome: how many hung over, and by how much at most."""

    def _ends(self, names: list[str], end: np.ndarray) -> np.ndarray | None:
        """Return the ends of chromosomes, None where no interval reaches beyond any of them."""
        ends = np.array([self._limits.get(name, 1 << 40) for name in names], np.int64)
        return None if not len(end) or end.max() <= ends.min(initial=1 << 40) else ends

    def note(self, names: list[str], codes: np.ndarray, end: np.ndarray) -> None:
        """Remember which intervals of a block hang over."""
        ends = self._ends(names, end)
        if ends is None:
            return
        over = end - ends[codes]
        for code in np.unique(codes[over > 0]):
            here = over[(codes == code) & (over > 0)]
            n, most = self._over.get(names[code], (0, 0))
            self._over[names[code]] = n + len(here), max(most, int(here.max()))

    def clip(
        self, names: list[str], codes: np.ndarray, start: np.ndarray, end: np.ndarray
    ) -> tuple[np.ndarray | slice, np.ndarray]:
        """Return which intervals lie within their chromosome, if in part, and where these end."""
        ends = self._ends(names, end)
        if ends is None:
            return slice(None), end
        here = start < ends[codes]
        return here, np.minimum(end, ends[codes])[here]

    def notes(self, path: Path, what: str) -> list[str]:
        """Say what hung over, if anything did. what: names the intervals."""
        return [
            f"{path}: {n:,} of its {what} reach beyond the end of {chrom}, "
            f"{self._limits[chrom]:,}, by {most:,} bp at most; they are clipped there"
            for chrom, (n, most) in self._over.items()
        ]
