"""The estimate of bleaching of a lazy series: its background, its trace and the fit, in bounded memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed
from numpy.typing import NDArray

from .correction.background import border_mask, border_means
from .correction.bleaching import BleachingEstimate, correct, estimate_bleaching
from .correction.trace import positive_sums
from .errors import ParameterError, SeriesError
from .execution import compute
from .lazy import FrameSource, lazy_series
from .process_local import ProcessLocal

#: How the background of a series is found: one number for all frames, one for each frame,
#: or as given: a number or an image (y, x).
Background: TypeAlias = Literal["constant", "per-frame"] | float | NDArray[Any]

BACKGROUND_NAMES = ("constant", "per-frame")


class BlockRunner(ProcessLocal):
    """Measure frames block by block, and tell a listener how many have been measured.

    Parameters
    ----------
    on_frames
        Called from any thread with a number of frames.
    run
        Computes dask collections.
    """

    def __init__(
        self,
        on_frames: Callable[[int], None] = lambda n_frames: None,
        run: Callable[..., tuple[Any, ...]] = compute,
    ) -> None:
        super().__init__()
        self.on_frames = on_frames
        self._run = run

    def measure(self, fl: da.Array, function: Callable[..., NDArray[np.float64]], argument: Any) -> NDArray[np.float64]:
        """Apply a function to every block; frames run along the last axis of its results."""
        task = dask.delayed(_measure_and_count, pure=False)
        shared = dask.delayed(argument, traverse=False)
        blocks = fl.to_delayed().ravel()
        return np.concatenate(self._run(*(task(function, block, shared, self) for block in blocks)), axis=-1)


@dataclass(frozen=True, eq=False)
class EstimateRequest:
    """What an estimate is made from, apart from the frames.

    Parameters
    ----------
    times
        (n,) acquisition time of each frame [s].
    background
        See `Background`.
    border_px
        Width of the border that shows background only [px].
    """

    times: NDArray[np.float64]
    background: Background
    border_px: int


def estimate(fl: da.Array, request: EstimateRequest, runner: BlockRunner) -> BleachingEstimate:
    """Estimate the bleaching of a lazy series.

    With a constant background each frame is read twice, because the trace of flimage needs
    the mean background of all frames before the first sum; otherwise once.

    Parameters
    ----------
    fl
        Background-corrected frames (frame, y, x).
    runner
        Told of twice the number of frames in total.
    """
    if is_named(request.background, "per-frame"):
        background, trace = runner.measure(fl, _background_and_sums, request.border_px)
        runner.on_frames(fl.shape[0])
    else:
        background = constant_background(fl, request.background, request.border_px, runner)
        trace = runner.measure(fl, positive_sums, background)
    border_px = request.border_px if isinstance(request.background, str) else None
    return estimate_bleaching(request.times, trace, background=background, border_px=border_px)


def estimate_once(source: FrameSource, request: EstimateRequest, runner: BlockRunner) -> BleachingEstimate:
    """Estimate the bleaching of a series, or return the estimate made before for the same file and request."""
    name = _name_of(source, request)
    with _kept_lock:
        if name not in _kept or source.stamp is None:
            _kept[name] = estimate(lazy_series(source).fl, request, runner)
            if len(_kept) > _KEPT_ESTIMATES:
                _kept.popitem(last=False)
        else:
            runner.on_frames(2 * len(request.times))
        return _kept[name]


def lazy_estimate(source: FrameSource, request: EstimateRequest) -> Delayed:
    """Return an estimate as one lazy value, which all arrays with the same request share."""
    task = dask.delayed(_estimate_in_task)
    return task(source, request, dask_key_name=_name_of(source, request))


def _name_of(source: FrameSource, request: EstimateRequest) -> str:
    return f"bleaching-estimate-{tokenize(source.token, request)}"


def bleach_corrected(fl: da.Array, estimate: BleachingEstimate | Delayed) -> da.Array:
    """Correct lazy frames for bleaching with an estimate that is known or yet to be made.

    Parameters
    ----------
    fl
        Background-corrected frames (frame, y, x).
    estimate
        Its background is subtracted, its factors are applied.

    Returns
    -------
    dask.array.Array
        ``(fl - background) * factor``, of the same shape and type.
    """
    if isinstance(estimate, BleachingEstimate):
        estimate = dask.delayed(estimate, name=f"bleaching-estimate-{tokenize(estimate)}", traverse=False)
    return fl.map_blocks(_correct_frames, _positions(fl), estimate, dtype=fl.dtype, meta=fl._meta)


def background_corrected(fl: da.Array, background: Background, border_px: int) -> da.Array:
    """Subtract a background from lazy frames.

    Parameters
    ----------
    fl
        Frames (frame, y, x).
    background, border_px
        See `Background`; a constant background is found before this function returns.
    """
    if is_named(background, "per-frame"):
        return fl.map_blocks(_subtract_own_background, border_px, dtype=fl.dtype, meta=fl._meta)
    value = constant_background(fl, background, border_px, BlockRunner())
    return fl.map_blocks(_subtract, value, dtype=fl.dtype, meta=fl._meta)


def constant_background(
    fl: da.Array, background: Background, border_px: int, runner: BlockRunner
) -> float | NDArray[np.float64]:
    """Return the background that all frames share: the mean of the borders' means, or as given."""
    if not isinstance(background, str):
        runner.on_frames(fl.shape[0])
        return background
    means = runner.measure(fl, border_means, border_px)
    if np.isnan(means).all():
        raise SeriesError("no frame has a finite pixel in its border: give the background as a number.")
    return float(np.nanmean(means))


def check_background(background: Background, border_px: int, frame_shape: tuple[int, int]) -> Background:
    """Refuse a background that cannot be used with frames of a shape; return it as numbers where it is one.

    Raises
    ------
    ParameterError
        (a ValueError) if it is no known name, no finite number and no image of that shape, or
        if the border leaves no centre.
    """
    if isinstance(background, str):
        if background not in BACKGROUND_NAMES:
            names = " or ".join(repr(name) for name in BACKGROUND_NAMES)
            raise ParameterError(f"background={background!r}: give {names}, a number, or an image (y, x).")
        border_mask(frame_shape, border_px)
        return background
    values = np.asarray(background, np.float64)
    if values.shape not in ((), frame_shape):
        raise ParameterError(f"the background has shape {values.shape}; the frames have {frame_shape}.")
    if not np.isfinite(values).all():
        raise ParameterError("the background holds values that are not finite.")
    return float(values) if values.ndim == 0 else values


def is_named(background: Background, name: str) -> bool:
    """Tell whether a background is chosen by a name, without comparing an image with text."""
    return isinstance(background, str) and background == name


def _measure_and_count(
    measure: Callable[..., NDArray[np.float64]], block: NDArray[Any], argument: Any, runner: BlockRunner
) -> NDArray[np.float64]:
    result = measure(block, argument)
    runner.on_frames(len(block))
    return result


def _background_and_sums(block: NDArray[Any], border_px: int) -> NDArray[np.float64]:
    means = border_means(block, border_px)
    return np.stack([means, positive_sums(block, means)])


def _positions(fl: da.Array) -> da.Array:
    return da.arange(fl.shape[0], chunks=(fl.chunks[0],))[:, None, None]


def _correct_frames(block: NDArray[Any], positions: NDArray[np.int64], estimate: BleachingEstimate) -> NDArray[Any]:
    frames = positions.ravel()
    background = estimate.background
    if isinstance(background, np.ndarray) and background.ndim == 1:
        background = background[frames]
    return correct(block, background, estimate.factors[frames])


def _subtract(block: NDArray[Any], background: float | NDArray[np.float64]) -> NDArray[Any]:
    return correct(block, background, np.ones(len(block)))


def _subtract_own_background(block: NDArray[Any], border_px: int) -> NDArray[Any]:
    return _subtract(block, border_means(block, border_px))


_KEPT_ESTIMATES = 16
_kept: OrderedDict[str, BleachingEstimate] = OrderedDict()
_kept_lock = threading.Lock()


def _estimate_in_task(source: FrameSource, request: EstimateRequest) -> BleachingEstimate:
    # A task cannot wait for other tasks of its own scheduler; threads of its own do no harm.
    return estimate_once(source, request, BlockRunner(run=partial(dask.compute, scheduler="threads")))
