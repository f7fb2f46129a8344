"""Log signals: the scale on which signals are explained, compared and drawn."""

import numpy as np
from numpy.typing import DTypeLike


def log_signals(X: np.ndarray, dtype: DTypeLike = np.float64) -> np.ndarray:
    """Return log(1 + signal) of counts or signal of any shape, in float of the given precision."""
    return np.log1p(X.astype(dtype))
