"""Frames corrected lazily: background subtracted, bleaching corrected."""

from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed
from numpy.typing import NDArray

from ..correction.applying import correct
from ..correction.background import BackgroundValues, border_means, mean_background
from ..correction.bleaching import BleachingEstimate
from ..correction.levels import FrameLevels
from ..correction.preparation import Level
from ..notices import ClippingWarning, warn
from .block_runner import BlockRunner
from .frame_source import FrameSource
from .percentile_image import known_level


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
        return _corrected_by_values(fl, estimate)
    positions = _InOnePiece.in_blocks_of(fl, np.arange(len(fl))[:, np.newaxis])
    return fl.map_blocks(_correct_frames, positions, estimate, dtype=fl.dtype, meta=fl._meta)


class _InOnePiece:
    """Numbers of all frames that blocks take their own from.

    dask would make a task of each block's part of an array, and send it on its own.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    @classmethod
    def in_blocks_of(cls, fl: da.Array, values: NDArray[Any]) -> da.Array:
        """Return numbers (frame, value) as an array (frame, value, 1), in blocks of the same frames as others."""
        whole = cls(values[:, :, np.newaxis])
        return da.from_array(
            whole, chunks=(fl.chunks[0], -1, -1), asarray=False, meta=np.empty((0, 0, 0), values.dtype)
        )

    def __getitem__(self, part: Any) -> NDArray[Any]:
        taken: NDArray[Any] = self._values[part]
        return taken

    def __dask_tokenize__(self) -> str:
        return str(tokenize(self._values))


def _corrected_by_values(fl: da.Array, estimate: BleachingEstimate) -> da.Array:
    """Give each block only what is needed of an estimate, which for many frames is large."""
    background = estimate.background
    levels = np.zeros(len(estimate.factors)) if np.ndim(background) == 2 else background
    values = np.stack(np.broadcast_arrays(levels, estimate.factors, estimate.shifts), axis=1)
    of_blocks = _InOnePiece.in_blocks_of(fl, values)
    shared = _shared(background) if np.ndim(background) == 2 else None
    return fl.map_blocks(_correct_by_values, of_blocks, shared, dtype=fl.dtype, meta=fl._meta)


def _shared(value: Any) -> Delayed:
    """Make one task of what all blocks need."""
    return dask.delayed(value, name=f"background-{tokenize(value)}", traverse=False)


def background_corrected(source: FrameSource, background: Level, border_px: int, runner: BlockRunner) -> da.Array:
    """Subtract a background from frames, lazily.

    Parameters
    ----------
    source
        Where the frames are.
    background, border_px
        What is subtracted; what all frames share is found before this function returns.
    runner
        Measures it.
    """
    fl, level = runner.lazy(source), known_level(source, background, runner)
    if isinstance(level, FrameLevels):
        return fl.map_blocks(_subtract_own_level, _shared(level), dtype=fl.dtype, meta=fl._meta)
    if isinstance(level, str):
        level = mean_background(np.concatenate(runner.measure_lazy(source, fl, border_means, border_px)))
    return fl.map_blocks(_subtract, _shared(level), dtype=fl.dtype, meta=fl._meta)


def _corrected(
    block: NDArray[Any],
    background: BackgroundValues,
    factors: NDArray[np.float64],
    shifts: NDArray[np.float64] | None = None,
) -> NDArray[Any]:
    """Correct a block, and warn of pixels that become infinite; numpy notices them without another pass."""
    too_large: list[str] = []
    with np.errstate(over="call", call=lambda kind, _: too_large.append(kind)):
        corrected = correct(block, background, factors, shifts)
    if too_large:
        # The same words for all blocks, so that Python shows them once.
        warn(
            f"corrected pixels exceed the largest number of {corrected.dtype} ({np.finfo(corrected.dtype).max:.2g}) "
            "and are infinite: give max_factor=, or look whether such pixels are real.",
            ClippingWarning,
        )
    return corrected


def _correct_frames(block: NDArray[Any], positions: NDArray[np.int64], estimate: BleachingEstimate) -> NDArray[Any]:
    frames = positions.ravel()
    background = estimate.background
    if isinstance(background, np.ndarray) and background.ndim == 1:
        background = background[frames]
    return _corrected(block, background, estimate.factors[frames], estimate.shifts[frames])


def _correct_by_values(
    block: NDArray[Any], values: NDArray[np.float64], image: NDArray[np.float64] | None
) -> NDArray[Any]:
    levels, factors, shifts = values[:, :, 0].T
    return _corrected(block, levels if image is None else image, factors, shifts)


def _subtract(block: NDArray[Any], background: float | NDArray[np.float64]) -> NDArray[Any]:
    return correct(block, background, np.ones(len(block)))


def _subtract_own_level(block: NDArray[Any], levels: FrameLevels) -> NDArray[Any]:
    return _subtract(block, levels.of(block))
