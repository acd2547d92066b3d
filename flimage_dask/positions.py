"""Frames named by their positions, or marked by a mask."""

import operator
from contextlib import suppress
from typing import Any

import numpy as np

from .errors import ParameterError


def positions_of(named: Any, n_frames: int, argument: str) -> list[int]:
    """Return which of some frames are meant.

    Parameters
    ----------
    named
        A position or a slice, several of them, or a mask: (n,) bool, as an array or a list.
    n_frames
        How many frames there are.
    argument
        What names them, for messages.

    Returns
    -------
    list of int
        In the order in which they are named. Positions may be negative, from the end, or lie outside.

    Raises
    ------
    ParameterError
        (a ValueError) for a mask of another length, or a position that is not an integer.

    Examples
    --------
    >>> positions_of([3, slice(0, 2), -1], 9, "exclude="), positions_of([False, True, True], 3, "exclude=")
    ([3, 0, 1, -1], [1, 2])
    """
    if _is_mask(named):
        if np.shape(named) != (n_frames,):
            raise ParameterError(
                f"{argument} is a mask of shape {np.shape(named)}; {n_frames} frames need ({n_frames},)."
            )
        return [int(position) for position in np.flatnonzero(named)]
    positions: list[int] = []
    for part in _parts(named):
        positions += range(n_frames)[part] if isinstance(part, slice) else [as_position(part, argument)]
    return positions


def as_position(index: Any, argument: str) -> int:
    """Return the position of one frame as an int.

    Raises
    ------
    ParameterError
        (a ValueError) if it is not an integer.
    """
    # Python takes a bool for an integer; here it only makes sense in a mask.
    if not isinstance(index, bool):
        with suppress(TypeError):
            return operator.index(index)
    raise ParameterError(f"{argument} names {index!r}, which is not a frame position: give an integer.")


def _is_mask(named: Any) -> bool:
    if isinstance(named, np.ndarray):
        return bool(named.dtype == np.bool_)
    parts = _parts(named)
    return bool(parts) and all(isinstance(part, bool | np.bool_) for part in parts)


def _parts(named: Any) -> list[Any]:
    try:
        return list(named)
    except TypeError:
        return [named]
