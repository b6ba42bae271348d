"""pyhf's NumPy backend, made to work with current versions of NumPy and jsonschema."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pyhf
from typing_extensions import override


class _Arrays(pyhf.tensor.numpy_backend):  # type: ignore[misc]
    """NumPy backend without the argument of `numpy.percentile` that NumPy 2.4 removed."""

    @override
    def percentile(
        self,
        tensor_in: npt.ArrayLike,
        q: npt.ArrayLike,
        axis: int | None = None,
        interpolation: str = "linear",
    ) -> object:
        return np.percentile(tensor_in, q, axis=axis, method=interpolation)  # type: ignore[call-overload]


@contextmanager
def backend(optimizer: object = None) -> Iterator[None]:
    """Make pyhf use NumPy and an optimiser, and restore its settings at the end of the block.

    Parameters
    ----------
    optimizer
        Object with pyhf's optimiser interface; pyhf's own one by default.
    """
    before = pyhf.get_backend()
    pyhf.set_backend(_Arrays(precision="64b"), optimizer)
    try:
        yield
    finally:
        pyhf.set_backend(*before)


@contextmanager
def schemas() -> Iterator[None]:
    """Silence the warning about a jsonschema class that pyhf 0.7 uses and jsonschema deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "jsonschema.RefResolver", DeprecationWarning)
        yield
