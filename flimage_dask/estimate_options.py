"""What a user asks of an estimate, and how the arguments that say so are read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .correction.background import BackgroundValues
from .correction.bleaching import BleachingEstimate
from .correction.fields import Fields
from .correction.intensity import POSITIVE_SUM, TraceOptions, check_statistic
from .correction.levels import FrameBackground
from .correction.options import FitOptions
from .correction.over_time import TimePercentile
from .correction.preparation import Background, BackgroundChoice, choose_background
from .correction.profiles import Profile
from .correction.rolling_ball import RollingBall
from .errors import ParameterError


@dataclass(frozen=True, eq=False)
class EstimateOptions:
    """What a user asks of an estimate, as the arguments of `EstimableFrames.estimate_bleaching`.

    Parameters
    ----------
    border_px, background, times, frame_interval
        See there.
    trace
        How the intensity of a frame is found.
    fit
        How the decay is fitted.
    fields
        Dark and flat field; None for none.
    """

    border_px: int
    background: Background | None
    times: ArrayLike | None
    frame_interval: float | None
    trace: TraceOptions
    fit: FitOptions
    fields: Fields | None = None

    def choice(self, frame_shape: tuple[int, int]) -> BackgroundChoice:
        """Return the background to use; refuse one, a field or a mask that does not fit frames of a shape."""
        self.trace.check_shape(frame_shape)
        background = default_background(self.trace.statistic) if self.background is None else self.background
        return choose_background(background, self.border_px, frame_shape, self.fields)

    def given_times(self, n_frames: int) -> NDArray[np.float64] | None:
        """Return the acquisition times (n,) [s] that are given, if they are.

        Raises
        ------
        ParameterError
            (a ValueError) if they are given twice, or are no times of as many frames.
        """
        if self.times is not None and self.frame_interval is not None:
            raise ParameterError("give either times= or frame_interval=, not both.")
        if self.times is not None:
            return as_times(self.times, n_frames)
        if self.frame_interval is None:
            return None
        if not isinstance(self.frame_interval, Real) or not 0 < self.frame_interval < np.inf:
            raise ParameterError(f"frame_interval={self.frame_interval!r} must be a positive number of seconds.")
        return np.arange(n_frames) * np.float64(self.frame_interval)

    def applied_to(self, estimate: BleachingEstimate, frame_shape: tuple[int, int]) -> BleachingEstimate:
        """Return a known estimate with the background of the frames it is applied to, if one is given.

        Raises
        ------
        ParameterError
            (a ValueError) if that is neither a number nor an image, or if arguments are given that say how to make
            an estimate.
        """
        self._refuse_unused()
        if self.background is None or isinstance(self.background, Profile | RollingBall):
            return estimate
        if isinstance(self.background, str | FrameBackground | TimePercentile):
            raise ParameterError(
                f"background={self.background!r} would have to be measured: with an estimate that is given, the "
                f"background of these frames is a number or an image [counts]."
            )
        level = choose_background(self.background, self.border_px, frame_shape).level
        return replace(estimate, background=cast("BackgroundValues", level), border_px=None)

    def _refuse_unused(self) -> None:
        """Refuse arguments that mean nothing where an estimate is known."""
        fit, trace, default = self.fit, self.trace, FitOptions()
        unused = {
            "trace": trace.statistic != POSITIVE_SUM,
            "mask": trace.mask is not None,
            "saturation": trace.saturation is not None,
            "model": fit.model != default.model,
            "exclude": np.asarray(fit.exclude, object).size > 0,
            "robust": fit.robust,
            "correction": fit.correction != default.correction,
            "max_factor": fit.max_factor is not None,
            "parameters": fit.is_given,
        }
        names = ", ".join(f"{name}=" for name, is_given in unused.items() if is_given)
        if names:
            raise ParameterError(
                f"the estimate that is given knows all that {names} could change: leave out the one or the other."
            )

    def choice_for_known(self, frame_shape: tuple[int, int]) -> BackgroundChoice:
        """Return how frames are prepared for an estimate that is known, and whose background is subtracted."""
        of_each_frame = self.background if isinstance(self.background, Profile | RollingBall) else 0.0
        return choose_background(of_each_frame, self.border_px, frame_shape, self.fields)


def default_background(statistic: str) -> Literal["constant"] | float:
    """Return what is subtracted before the intensity of a frame is found, if nobody says otherwise."""
    return "constant" if statistic == POSITIVE_SUM else 0.0


def statistics_named(trace: str | Sequence[str]) -> list[str]:
    """Return the names of one trace or of several; refuse one that there is not."""
    statistics = [trace] if isinstance(trace, str) else list(trace)
    if not statistics:
        raise ParameterError(f"trace={trace!r}: name at least one.")
    for statistic in statistics:
        check_statistic(statistic)
    return statistics


def shared_background(statistics: Sequence[str]) -> Background:
    """Return what is subtracted before several traces are found, if nobody says otherwise."""
    backgrounds = {default_background(statistic) for statistic in statistics}
    if len(backgrounds) > 1:
        raise ParameterError(f"trace={statistics!r}: beside others, a positive sum needs a background=.")
    return backgrounds.pop()


def as_times(times: ArrayLike, n_frames: int) -> NDArray[np.float64]:
    """Make an array (n,) of the times of frames [s]; refuse one of another shape.

    Raises
    ------
    ParameterError
        (a ValueError) if they are not one number a frame.
    """
    try:
        # A copy, because lazy arrays use them later.
        given = np.array(_in_seconds(np.asarray(times)), np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"times= must be a list of seconds: {error}.") from error
    if given.shape != (n_frames,):
        raise ParameterError(f"times= has shape {given.shape}; {n_frames} frames need ({n_frames},).")
    return given


def _in_seconds(times: NDArray[Any]) -> NDArray[Any]:
    """Return times or dates of numpy as seconds, dates since 1970; whatever else as it is."""
    if times.dtype.kind == "M":
        times = times - np.datetime64(0, "s")
    return times / np.timedelta64(1, "s") if times.dtype.kind == "m" else times
