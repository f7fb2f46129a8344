"""A number and how far it may be off: what every statistic of this package returns."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import brentq

CONFIDENCE = 0.95
"""The probability with which an interval holds the true value."""


@dataclass(frozen=True)
class Interval:
    """A 95% interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A value and its 95% interval; NaN where it is not defined.

    errors: of each independent source of chance the standard error and its degrees of freedom (inf:
    normal). Empty where they are not known, as of a bootstrap: then there is no p-value.
    """

    value: float
    low: float
    high: float
    errors: tuple[tuple[float, float], ...] = ()

    @classmethod
    def from_errors(cls, value: float, errors: tuple[tuple[float, float], ...]) -> "Estimate":
        """Return an estimate whose interval follows from its standard errors.

        With one source, intervals and tests are Student's. Several are combined by Howe's
        approximation (1974, J. Am. Stat. Assoc. 69:789): the squares of the sources' half widths
        add up.
        """
        half = _half_width(errors, (1 - CONFIDENCE) / 2)
        return cls(value, value - half, value + half, errors)

    @property
    def p(self) -> float:
        """Two-sided p-value of a true value of 0."""
        return 2 * self._tail(abs(self.value))

    def equivalence_p(self, margin: float) -> float:
        """Return the p-value of two one-sided tests (TOST) of a true value of +-margin or beyond.

        It is below 0.025 exactly where the 95% interval lies within the margin.
        """
        return self._tail(margin - abs(self.value))

    def _tail(self, distance: float) -> float:
        """Return the chance of erring by `distance` or more in one direction, to 1e-15."""
        if not self.errors:
            raise ValueError("no p-value: the standard errors of this estimate are not known")
        if distance < 0:
            return 1 - self._tail(-distance)
        smallest = 1e-15
        if distance == 0 or np.isinf(_half_width(self.errors, 0.25)):
            return 0.5
        if _half_width(self.errors, smallest) <= distance:
            return 0.0
        found = brentq(
            lambda log: _half_width(self.errors, np.exp(log)) - distance,
            np.log(smallest),
            np.log(0.5),
        )
        return float(np.exp(found))


def _half_width(errors: tuple[tuple[float, float], ...], tail: float) -> float:
    """Return how far a value errs in one direction with probability `tail`, at most 0.5."""
    halves = [float(stats.t.isf(tail, df)) * error for error, df in errors]
    return float(np.hypot.reduce(halves))
