"""The background of a frame, estimated from a border that shows no object."""

from collections.abc import Iterable
from itertools import repeat
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError, SeriesError

#: Background in counts: one number, one number a frame (n,), or one image (y, x) for all frames.
BackgroundValues: TypeAlias = float | NDArray[Any]


def border_mask(frame_shape: tuple[int, int], border_px: int) -> NDArray[np.bool_]:
    """Mark the pixels of the border of a frame.

    Parameters
    ----------
    frame_shape
        Height and width of a frame [px].
    border_px
        Width of the border [px].

    Returns
    -------
    numpy.ndarray
        (y, x) bool, True in the border.

    Raises
    ------
    ParameterError
        (a ValueError) if `border_px` is no integer of at least 1, or leaves no centre.

    Examples
    --------
    >>> border_mask((3, 4), 1).astype(int)
    array([[1, 1, 1, 1],
           [1, 0, 0, 1],
           [1, 1, 1, 1]])
    """
    widest = (min(frame_shape) - 1) // 2
    frames = f"frames of {frame_shape[0]}x{frame_shape[1]} px"
    if widest < 1:
        raise ParameterError(f"{frames} are too small for a border: give the background as a number.")
    is_integer = isinstance(border_px, Integral) and not isinstance(border_px, bool | np.bool_)
    if not is_integer or not 1 <= border_px <= widest:
        raise ParameterError(f"border_px={border_px!r}: {frames} allow an integer from 1 to {widest}.")
    mask = np.ones(frame_shape, dtype=np.bool_)
    mask[border_px:-border_px, border_px:-border_px] = False
    return mask


def border_means(block: NDArray[Any], border_px: int) -> NDArray[np.float64]:
    """Average the finite pixels of the border of each frame.

    Parameters
    ----------
    block
        (frame, y, x), counts.
    border_px
        Width of the border [px].

    Returns
    -------
    numpy.ndarray
        (frame,) float64, counts; NaN for a frame without a finite pixel in its border. How
        frames are grouped in blocks does not change a single bit.

    Raises
    ------
    ParameterError
        (a ValueError) if the border cannot be used with these frames, see `border_mask`.

    Examples
    --------
    >>> border_means(np.array([[[1, 1, 1], [1, 9, 1], [1, 1, 9]]]), border_px=1)
    array([2.])
    """
    _, height, width = block.shape
    border_mask((height, width), border_px)
    middle = slice(border_px, height - border_px)
    sides = (
        np.s_[:border_px],
        np.s_[height - border_px :],
        np.s_[middle, :border_px],
        np.s_[middle, width - border_px :],
    )
    means = np.full(len(block), np.nan)
    for index, frame in enumerate(block):
        pixels = np.concatenate([frame[side].ravel() for side in sides], dtype=np.float64)
        total = pixels.sum()
        if np.isfinite(total):
            means[index] = total / pixels.size
        elif (finite := pixels[np.isfinite(pixels)]).size:
            means[index] = finite.mean()
    return means


def mean_background(means: NDArray[np.float64]) -> float:
    """Return the background that all frames share, from the means of their borders (n,), in whichever order.

    Raises
    ------
    SeriesError
        (a ValueError) if no frame has a finite pixel in its border.
    """
    known = means[~np.isnan(means)]
    if not known.size:
        raise SeriesError("no frame has a finite pixel in its border: give the background as a number.")
    return float(np.sort(known).mean())


def frame_backgrounds(background: BackgroundValues, block: NDArray[Any]) -> Iterable[Any]:
    """Return what is subtracted from each frame of a block: a float64, or an image (y, x).

    Raises
    ------
    ParameterError
        (a ValueError) if the background fits neither the frames' number nor their shape.
    """
    values = np.asarray(background, dtype=np.float64)
    if values.shape == block.shape[:1]:
        return values
    if values.shape not in ((), block.shape[1:]):
        raise ParameterError(
            f"the background has shape {values.shape}: give a number, an array ({len(block)},) with one "
            f"number a frame, or an image {block.shape[1:]}."
        )
    return repeat(values if values.ndim else values[()], len(block))
