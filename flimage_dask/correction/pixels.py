"""Pixels that a trace cannot trust: those that are not finite, and saturated ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .traced_pixels import TracedPixels

#: A share of saturated pixels that is reported: the brightest pixels lose most of the light, unseen.
MANY_SATURATED = 1e-3


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """Pixels of each frame that count for a trace.

    Parameters
    ----------
    n_pixels
        All of them.
    n_finite, n_saturated
        (n,) int64, those that are finite, and those that are saturated.
    saturation
        Counts from which a pixel is saturated; None where that is not known.
    """

    n_pixels: int
    n_finite: NDArray[np.int64]
    n_saturated: NDArray[np.int64]
    saturation: float | None

    def __post_init__(self) -> None:
        self.n_finite.setflags(write=False)
        self.n_saturated.setflags(write=False)

    def warnings(self, excluded: tuple[int, ...] = ()) -> tuple[str, ...]:
        """Say in which frame of the fit most pixels are saturated, if they are many."""
        shares = self.n_saturated / self.n_pixels
        shares[list(excluded)] = 0.0
        worst = int(np.argmax(shares))
        if shares[worst] <= MANY_SATURATED:
            return ()
        return (
            f"{shares[worst]:.1%} of the pixels of frame {worst} are saturated (from {self.saturation:g} counts), "
            "which hides bleaching: factors come out too small. Leave such frames out with exclude=.",
        )


def count_pixels(block: NDArray[Any], traced: TracedPixels, saturation: float | None) -> NDArray[np.int64]:
    """Count the finite and the saturated pixels of each frame of a block.

    Parameters
    ----------
    block
        (frame, y, x), counts.
    traced
        The pixels that count.
    saturation
        Counts from which a pixel is saturated; None counts none.

    Returns
    -------
    numpy.ndarray
        (2, frame) int64.

    Examples
    --------
    >>> from flimage_dask.correction.traced_pixels import EVERYWHERE
    >>> count_pixels(np.array([[[1.0, np.nan, 255.0]]]), EVERYWHERE, 255.0).tolist()
    [[2], [1]]
    """
    counts = np.zeros((2, len(block)), np.int64)
    for place, frame in enumerate(block):
        pixels = traced.of(frame)
        counts[0, place] = pixels.size if pixels.dtype.kind in "iub" else np.count_nonzero(np.isfinite(pixels))
        if saturation is not None:
            counts[1, place] = np.count_nonzero(pixels >= saturation)
    return counts
