"""What a fit may be told: which model, and which frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .models import DecayModel, model_named

#: The best of several models, if there is bleaching at all.
AUTO = "auto"

#: Frames to leave out: positions, a slice, several slices, or an array of bool.
Frames: TypeAlias = int | slice | Sequence[int | slice] | NDArray[Any]


@dataclass(frozen=True)
class FitOptions:
    """How the decay of a trace is fitted.

    Parameters
    ----------
    model
        "exponential" (flimage's), "biexponential", "linear+exponential", "stretched", "none", a
        `DecayModel` of your own, or "auto" for the one that describes the trace best.
    exclude
        Frames that take no part in the fit, such as those of a stimulus: positions, negative ones from
        the end, slices, or an array of bool. They are corrected too.
    robust
        Let frames far from the curve count less (Huber's weights).

    Raises
    ------
    ParameterError
        (a ValueError) if there is no such model.

    Examples
    --------
    >>> FitOptions(model="auto", exclude=[slice(10, 12), -1]).excluded(20)
    (10, 11, 19)
    """

    model: str | DecayModel = "exponential"
    exclude: Frames = ()
    robust: bool = False

    def __post_init__(self) -> None:
        if self.model != AUTO:
            model_named(self.model)

    def excluded(self, n_frames: int) -> tuple[int, ...]:
        """Return the positions of the excluded frames of a series, in ascending order.

        Raises
        ------
        ParameterError
            (a ValueError) for a position outside the series, or something that is none.
        """
        given = self.exclude
        if isinstance(given, np.ndarray) and given.dtype == np.bool_:
            if given.shape != (n_frames,):
                raise ParameterError(f"exclude= has shape {given.shape}; {n_frames} frames need ({n_frames},).")
            return tuple(int(position) for position in np.flatnonzero(given))
        parts = [given] if isinstance(given, int | slice) else list(given)
        found: set[int] = set()
        for part in parts:
            found.update(_positions(part, n_frames))
        return tuple(sorted(found))


def _positions(part: Any, n_frames: int) -> range:
    if isinstance(part, slice):
        return range(n_frames)[part]
    try:
        position = range(n_frames)[part]
    except (IndexError, TypeError) as error:
        raise ParameterError(
            f"exclude= names {part!r}, which is no frame of a series of {n_frames}: give positions, slices, or "
            f"an array of bool."
        ) from error
    return range(position, position + 1)
