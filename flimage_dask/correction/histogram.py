"""Histogram matching: every frame gets the distribution of brightness of a reference frame.

It needs no background, no trace and no curve, and equalises more than bleaching: brightness is no
measure of the amount of dye afterwards, only shapes are (Miura et al., CorrectBleach, 2014).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError, SeriesError

Array = NDArray[np.float64]

#: Two published variants.
FIJI, INTERPOLATED = "fiji", "interpolated"
VARIANTS = (FIJI, INTERPOLATED)


@dataclass(frozen=True, eq=False)
class Distribution:
    """How often each value occurs in a frame, up to each value.

    Parameters
    ----------
    values
        (k,) the different finite values, ascending [counts].
    shares
        (k,) of the pixels that are no larger, up to 1.
    """

    values: Array
    shares: Array


def distribution(frame: NDArray[Any]) -> Distribution:
    """Return the distribution of the finite pixels of a frame (y, x).

    Raises
    ------
    SeriesError
        (a ValueError) if no pixel is finite.
    """
    pixels = frame[np.isfinite(frame)]
    if not pixels.size:
        raise SeriesError("the reference frame has no finite pixel: choose another frame with reference=.")
    values, counts = np.unique(pixels, return_counts=True)
    return Distribution(values.astype(np.float64), np.cumsum(counts) / pixels.size)


def match_histograms(block: NDArray[Any], reference: Distribution, variant: str) -> NDArray[Any]:
    """Give each frame the distribution of a reference frame.

    Parameters
    ----------
    block
        (frame, y, x), counts.
    reference
        Of the frame that all others are made like.
    variant
        "fiji": each value becomes the lowest of the reference with at least the same share of pixels below
        it, as in Fiji's CorrectBleach and napari-bleach-correct; all results are values of the
        reference. "interpolated": values in between are interpolated, as in
        `skimage.exposure.match_histograms`.

    Returns
    -------
    numpy.ndarray
        (frame, y, x), counts, in the type of the block, or float32 for integers. Pixels that are not finite
        stay so.

    Examples
    --------
    >>> dim = np.array([[[1.0, 1.0], [2.0, 3.0]]])
    >>> match_histograms(dim, distribution(np.array([[10.0, 10.0], [20.0, 30.0]])), "fiji")
    array([[[10., 10.],
            [20., 30.]]])
    """
    check_variant(variant)
    matched = np.empty(block.shape, np.result_type(block.dtype, np.float32))
    for frame, target in zip(block, matched, strict=True):
        finite = np.isfinite(frame)
        target[...] = frame
        if not finite.any():
            continue
        _, inverse, counts = np.unique(frame[finite], return_inverse=True, return_counts=True)
        shares = np.cumsum(counts) / inverse.size
        target[finite] = _mapped(shares, reference, variant)[inverse.reshape(-1)]
    return matched


def check_variant(variant: str) -> None:
    """Refuse an unknown variant."""
    if variant not in VARIANTS:
        raise ParameterError(f"variant={variant!r}: give 'fiji' or 'interpolated'.")


def _mapped(shares: Array, reference: Distribution, variant: str) -> Array:
    if variant == INTERPOLATED:
        return np.interp(shares, reference.shares, reference.values)
    places = np.searchsorted(reference.shares, shares, side="left")
    values: Array = reference.values[np.minimum(places, len(reference.values) - 1)]
    return values
