"""Whether the intervals of a signal overlap: a base would have two values."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from deepchrome.data.sources.intervals import Block
from deepchrome.errors import DeepChromeError


class Tiling:
    """Looks for intervals that overlap, block by block.

    Of a file sorted by place only the end of each chromosome's last interval is kept. `sorted`
    turns False where an interval lies before another of its chromosome that came earlier: then all
    of them must be compared (`check_unsorted`).
    """

    def __init__(self, path: Path):
        self._path = path
        self._last: dict[str, tuple[int, int]] = {}
        """By chromosome: the start and the end of the last interval."""
        self.sorted = True

    def add(self, block: Block) -> None:
        """Look at a block; raises DeepChromeError where an interval overlaps the one before."""
        if not len(block.start):
            return
        codes, start, end = block.codes, block.start, block.end
        new = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
        before_start, before_end = (np.append(0, of[:-1]) for of in (start, end))
        for first, last in zip(new, np.append(new[1:], len(codes)) - 1, strict=True):
            name = block.names[codes[first]]
            before_start[first], before_end[first] = self._last.get(name, (-1, -1))
            self._last[name] = int(start[last]), int(end[last])
        back = start < before_end
        if not back.any():
            return
        overlapping = np.flatnonzero(back & (end > before_start))
        if len(overlapping):
            row = int(overlapping[0])
            raise _overlap(
                f"{self._path}: line {block.line(row)}: {block.names[codes[row]]}",
                (int(start[row]), int(end[row])),
                (int(before_start[row]), int(before_end[row])),
            )
        self.sorted = False


def check_unsorted(path: Path, read: Callable[[], Iterable[Block]]) -> None:
    """Look for intervals that overlap anywhere in a file; `read` reads it once more.

    Takes 8 bytes an interval, and n log n time. Raises DeepChromeError where two overlap.
    """
    places: dict[str, list[np.ndarray]] = {}
    for block in read():
        for code in np.unique(block.codes):
            here = block.codes == code
            both = np.stack([block.start[here], block.end[here]]).astype(np.uint32)
            places.setdefault(block.names[code], []).append(both)
    for name in list(places):
        start, end = np.concatenate(places.pop(name), axis=1).astype(np.int64)
        order = np.argsort(start, kind="stable")
        start, end = start[order], end[order]
        overlapping = np.flatnonzero(start[1:] < end[:-1])
        if len(overlapping):
            at = int(overlapping[0])
            pair = [(int(start[i]), int(end[i])) for i in (at, at + 1)]
            # the later of two lines is the one that should not be there
            (_, first), (line, one) = sorted(_lines(read(), name, pair))[:2]
            raise _overlap(f"{path}: line {line}: {name}", one, first)


def _lines(
    blocks: Iterable[Block], name: str, places: list[tuple[int, int]]
) -> list[tuple[int, tuple[int, int]]]:
    """Return the lines in which intervals of a chromosome stand, with the interval of each."""
    found = []
    for block in blocks:
        if name not in block.names:
            continue
        here = block.codes == block.names.index(name)
        for start, end in dict.fromkeys(places):
            rows = np.flatnonzero(here & (block.start == start) & (block.end == end))
            found += [(block.line(int(row)), (start, end)) for row in rows[:2]]
    return found


def _overlap(where: str, one: tuple[int, int], other: tuple[int, int]) -> DeepChromeError:
    what = "stands there twice" if one == other else f"overlaps {other[0]:,} to {other[1]:,}"
    return DeepChromeError(
        f"{where} {one[0]:,} to {one[1]:,} {what}: a base would have two values; expected "
        "intervals that do not overlap. Was the file written or joined twice? Make it again, or "
        "give the bigWig"
    )
