"""An estimate that is given: whether it fits the frames that are to be corrected with it, and how they are prepared."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .correction.bleaching import BleachingEstimate
from .correction.models import RATIO
from .correction.preparation import BackgroundChoice, values_in_words
from .errors import ParameterError
from .estimate_options import EstimateOptions
from .notices import BleachingWarning, warn
from .sequence import FrameSequence

#: Times are the same if they differ by less, relative to that from the first frame to the last.
_SAME_TIMES = 0.01


def known_estimate(
    estimate: BleachingEstimate | None, options: EstimateOptions, frames: FrameSequence[Any]
) -> BleachingEstimate | None:
    """Return an estimate that is given, with the background that is given; None if one is to be made.

    Parameters
    ----------
    estimate
        What is given, or None.
    options
        What else is asked for.
    frames
        What is to be corrected.

    Raises
    ------
    ParameterError
        (a ValueError) if it is no estimate, or does not fit the options or the frames.

    Warns
    -----
    BleachingWarning
        If it was made at other times than those of the frames.
    """
    if estimate is None:
        return None
    if not isinstance(estimate, BleachingEstimate):
        raise ParameterError(
            f"estimate= must be a BleachingEstimate, not {type(estimate).__name__}: read one from a file with "
            f"BleachingEstimate.from_json(Path(…).read_text())."
        )
    _, height, width = frames.shape
    _check_preparation(estimate, options, (height, width))
    known = options.applied_to(estimate, (height, width))
    _check_fits(known, options, frames)
    return known


def choice_of(
    known: BleachingEstimate | None, options: EstimateOptions, frame_shape: tuple[int, int]
) -> BackgroundChoice:
    """Return what is subtracted and how frames are prepared, for an estimate that is known or to be made."""
    if known is None:
        return options.choice(frame_shape)
    choice = options.choice_for_known(frame_shape)
    return replace(choice, in_words=choice.prepared_in_words or values_in_words(known.background))


def _check_preparation(estimate: BleachingEstimate, options: EstimateOptions, frame_shape: tuple[int, int]) -> None:
    """Refuse an estimate of frames that were prepared in another way."""
    prepared = options.choice_for_known(frame_shape).prepared_in_words
    if estimate.prepared != prepared:
        raise ParameterError(
            f"the estimate was made from frames prepared with {estimate.prepared or 'nothing'}, these are with "
            f"{prepared or 'nothing'}: give the same background=, dark= and flat=."
        )


def _check_fits(estimate: BleachingEstimate, options: EstimateOptions, frames: FrameSequence[Any]) -> None:
    """Refuse an estimate that does not fit these frames; warn of one that was made at other times."""
    n_frames, *frame_shape = frames.shape
    if len(estimate.factors) != n_frames:
        raise ParameterError(
            f"the estimate has factors for {len(estimate.factors)} frames; here are {n_frames}: give its model= "
            f"and parameters= instead, for the same decay at the times of these frames."
        )
    times = options.given_times(n_frames)
    if estimate.model != RATIO and _are_apart(estimate.times, frames.times if times is None else times):
        warn(
            "the estimate was made at other times than those of these frames, which are corrected one by one as in "
            "the estimate: give its model= and parameters= instead, for the same decay at these times.",
            BleachingWarning,
        )
    if np.ndim(estimate.background) == 2 and np.shape(estimate.background) != tuple(frame_shape):
        raise ParameterError(
            f"the background of the estimate has shape {np.shape(estimate.background)}; the frames have "
            f"{tuple(frame_shape)}: give theirs with background=."
        )


def _are_apart(times: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Tell whether frames were acquired at other times than some others (n,), each from the first on [s]."""
    if not (np.isfinite(times).all() and np.isfinite(others).all()):
        return False
    elapsed, elapsed_of_others = times - times.min(), others - others.min()
    return bool(np.abs(elapsed - elapsed_of_others).max() > _SAME_TIMES * elapsed.max())
