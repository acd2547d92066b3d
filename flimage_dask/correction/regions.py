"""Where a frame shows background: its border, all of it, or the pixels of a mask."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError
from .background import border_mask

#: "border", whose width is given elsewhere; "frame", all pixels; or a mask (y, x) of bool, True for background.
Region: TypeAlias = str | ArrayLike

BORDER, FRAME = "border", "frame"


def checked_region(region: Region) -> str | NDArray[np.bool_]:
    """Return a region as a name or a read-only mask.

    Raises
    ------
    ParameterError
        (a ValueError) if it is no name of a region and no image of bool with at least one True.
    """
    if isinstance(region, str):
        if region not in (BORDER, FRAME):
            raise ParameterError(f"region={region!r}: give '{BORDER}', '{FRAME}', or an image (y, x) of bool.")
        return region
    return checked_mask(region, "region=", f"'{BORDER}', '{FRAME}', or an image")


def checked_mask(mask: ArrayLike, argument: str, expected: str = "an image") -> NDArray[np.bool_]:
    """Return a read-only copy of an image of bool that marks pixels.

    Parameters
    ----------
    mask
        (y, x) bool.
    argument, expected
        What gives it, and what it could have been, for the message.

    Raises
    ------
    ParameterError
        (a ValueError) if it is no image of bool with at least one True.
    """
    checked: NDArray[Any] = np.array(mask)
    if checked.ndim != 2 or checked.dtype != np.bool_ or not checked.any():
        raise ParameterError(
            f"{argument} has shape {checked.shape}, type {checked.dtype} and {np.count_nonzero(checked)} marked "
            f"pixels: give {expected} (y, x) of bool with at least one True."
        )
    checked.setflags(write=False)
    return checked


def mask_in_words(mask: NDArray[np.bool_]) -> str:
    """Tell the size of a mask."""
    return f"a mask of {np.count_nonzero(mask):,} px"


def region_mask(region: str | NDArray[np.bool_], frame_shape: tuple[int, int], border_px: int) -> NDArray[np.bool_]:
    """Mark the pixels of a region.

    Parameters
    ----------
    region
        As `checked_region` returns it.
    frame_shape
        Height and width of a frame [px].
    border_px
        Width of the border [px], for the region "border".

    Returns
    -------
    numpy.ndarray
        (y, x) bool.

    Raises
    ------
    ParameterError
        (a ValueError) if a mask has another shape, or the border leaves no centre.

    Examples
    --------
    >>> region_mask("frame", (1, 3), border_px=20)
    array([[ True,  True,  True]])
    """
    if isinstance(region, str):
        return border_mask(frame_shape, border_px) if region == BORDER else np.ones(frame_shape, np.bool_)
    if region.shape != frame_shape:
        raise ParameterError(f"region= has shape {region.shape}; the frames have {frame_shape}.")
    return region


def region_in_words(region: str | NDArray[np.bool_], border_px: int) -> str:
    """Name a region.

    Examples
    --------
    >>> region_in_words("border", 20), region_in_words(np.eye(3) > 0, 20)
    ('border of 20 px', 'a mask of 3 px')
    """
    if isinstance(region, str):
        return f"border of {border_px} px" if region == BORDER else "whole frame"
    return mask_in_words(region)
