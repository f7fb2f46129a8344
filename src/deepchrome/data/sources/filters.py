"""Which aligned reads count: duplicates and those in regions of a blacklist are left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepchrome.data.sources import contents, intervals
from deepchrome.errors import DeepChromeError, listing


@dataclass(frozen=True)
class Reads:
    """Some reads: names of chromosomes and, per read, an index into them, start, end, strand."""

    names: list[str]
    codes: np.ndarray
    start: np.ndarray
    end: np.ndarray
    minus: np.ndarray | None
    seen: int
    """Reads before filters."""

    def __len__(self) -> int:
        return len(self.start)

    def where(self, keep: np.ndarray) -> "Reads":
        """Return the reads that a mask, or indices, tell to keep."""
        minus = None if self.minus is None else self.minus[keep]
        return Reads(
            self.names, self.codes[keep], self.start[keep], self.end[keep], minus, self.seen
        )


class Duplicates:
    """Remembers the 5' ends seen: one bit for each position and strand.

    The bits of a chromosome are allocated whole but, untouched, take no memory.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, bool], np.ndarray] = {}

    def without(self, reads: Reads) -> Reads:
        """Return the reads whose chromosome, 5' end and strand are new."""
        assert reads.minus is not None
        first = np.where(reads.minus, reads.end - 1, reads.start)
        keep = np.zeros(len(first), bool)
        for code in np.flatnonzero(np.bincount(reads.codes, minlength=len(reads.names))):
            for minus in (False, True):
                rows = np.flatnonzero((reads.codes == code) & (reads.minus == minus))
                if not len(rows):
                    continue
                place, at = np.unique(first[rows], return_index=True)
                bits = self._bits((reads.names[code], minus), int(place[-1]))
                byte, bit = place >> 3, (1 << (place & 7)).astype(np.uint8)
                new = (bits[byte] & bit) == 0
                np.bitwise_or.at(bits, byte[new], bit[new])
                keep[rows[at[new]]] = True
        return reads.where(keep)

    def _bits(self, key: tuple[str, bool], position: int) -> np.ndarray:
        """Return the bits of a chromosome's strand, long enough for a position."""
        bits = self._seen.get(key)
        size = (position >> 3) + 1
        if bits is None or len(bits) < size:
            longer = np.zeros(max(size, 1 << 16, 0 if bits is None else 2 * len(bits)), np.uint8)
            if bits is not None:
                longer[: len(bits)] = bits
            self._seen[key] = bits = longer
        return bits


class Blacklist:
    """Regions, read from a BED file; a read that overlaps one by 1 bp or more is left out.

    Its alignment counts as a whole, as `bedtools intersect -v` has it, whatever reads.extend says.
    """

    def __init__(self, path: Path):
        self.path = path
        self.left_out = 0
        expected = "a BED file of regions (reads.blacklist)"
        found = contents.binary_kind(path)
        if found:
            raise contents.unexpected(path, found, expected)
        columns = contents.content_of(path, expected).columns
        places: dict[str, list[np.ndarray]] = {}
        for block in intervals.read_blocks(intervals.table(path, intervals.BED, columns, {}, {})):
            for code in np.unique(block.codes):
                here = block.codes == code
                both = np.stack([block.start[here], block.end[here]])
                places.setdefault(block.names[code], []).append(both)
        self._regions = {
            name: _merged(np.concatenate(parts, axis=1)) for name, parts in places.items()
        }

    def without(self, reads: Reads, chromosomes: Mapping[str, str]) -> Reads:
        """Return the reads that overlap no region.

        chromosomes: what the gene table calls the chromosomes of both files, by their names there.
        """
        regions = {chromosomes.get(name, name): of for name, of in self._regions.items()}
        keep = np.ones(len(reads), bool)
        for code in np.flatnonzero(np.bincount(reads.codes, minlength=len(reads.names))):
            name = reads.names[code]
            found = regions.get(chromosomes.get(name, name))
            if found is None:
                continue
            rows = np.flatnonzero(reads.codes == code)
            first = np.searchsorted(found[1], reads.start[rows], "right")  # ends beyond the start
            starts = np.append(found[0], np.iinfo(np.int64).max)
            keep[rows] = starts[first] >= reads.end[rows]
        self.left_out += int((~keep).sum())
        return reads.where(keep)

    @property
    def names(self) -> list[str]:
        """The chromosomes that it has regions on."""
        return list(self._regions)

    def check(self, path: Path, found: list[str], chromosomes: Mapping[str, str]) -> None:
        """Refuse a blacklist that names no chromosome as a file of reads does.

        found: the chromosomes of `path`.
        """
        ours = {chromosomes.get(name, name) for name in self.names}
        if not ours & {chromosomes.get(name, name) for name in found}:
            raise DeepChromeError(
                f"{self.path}: reads.blacklist: no chromosome in common with {path}: it has "
                f"{listing(self.names, 3)}, the reads have {listing(sorted(found), 3)}; take one "
                "of the same assembly, whose chromosomes are named alike"
            )


def _merged(places: np.ndarray) -> np.ndarray:
    """Return regions sorted, those that overlap or touch as one; shape=(2, regions)."""
    start, end = places[:, np.argsort(places[0], kind="stable")]
    furthest = np.maximum.accumulate(end)
    new = np.append(True, start[1:] > furthest[:-1])
    last = np.append(new[1:], True)
    return np.stack([start[new], furthest[last]])
