"""The estimate of bleaching of a lazy series: its background, its trace and the fit, in bounded memory."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..correction.advice import of_unknown_backgrounds
from ..correction.bleaching import BleachingEstimate, estimate_bleaching
from ..correction.intensity import TraceOptions
from ..correction.levels import FrameLevels
from ..correction.options import FitOptions
from ..correction.preparation import Level, is_constant
from .block_runner import BlockRunner
from .frame_source import FrameSource
from .percentile_image import known_level
from .pixel_counting import CountingRunner
from .tracing import background_and_traces


@dataclass(frozen=True, eq=False)
class EstimateRequest:
    """What an estimate is made from, apart from the frames.

    Parameters
    ----------
    times
        (n,) acquisition time of each frame [s].
    background
        What is subtracted, or how it is found.
    border_px
        Width of the border that shows background only [px].
    trace
        How the intensity of a frame is found.
    fit
        How the decay is fitted.
    """

    times: NDArray[np.float64]
    background: Level
    border_px: int
    trace: TraceOptions
    fit: FitOptions


def estimate(source: FrameSource, request: EstimateRequest, runner: BlockRunner) -> BleachingEstimate:
    """Estimate the bleaching of a series.

    Parameters
    ----------
    source
        Where the frames are.
    runner
        Told of twice the number of frames in total.
    """
    level = known_level(source, request.background, runner)
    counting = CountingRunner(runner, request.trace)
    background, traces = background_and_traces(
        source, level, request.border_px, [request.trace.statistic], request.trace.pixels, counting
    )
    found = estimate_bleaching(
        request.times,
        traces[:, 0, 0],
        background=background,
        border_px=_border_of(request),
        fit=request.fit,
        n_summed=request.trace.n_summed(source.index.frames.shape),
    )
    pixels = counting.counted
    texts = () if pixels is None else pixels.warnings(found.excluded)
    return replace(
        found,
        trace_kind=request.trace.in_words,
        prepared="" if source.preparation is None else source.preparation.in_words,
        pixels=pixels,
        warnings=found.warnings + texts + of_unknown_backgrounds(background),
    )


def _border_of(request: EstimateRequest) -> int | None:
    if isinstance(request.background, FrameLevels):
        return request.background.border_px
    return request.border_px if is_constant(request.background) else None
