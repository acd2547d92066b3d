"""A believable bleaching series with a known truth: cells under a camera, computed frame by frame."""

from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from numbers import Integral
from typing import TypeAlias

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .errors import ParameterError

#: Width of the border that shows background only [px]: what the correction takes by default.
BORDER_PX = 20
#: Amplitude of the stage's slow drift, and the time it takes to come back [px, s].
DRIFT_PX, DRIFT_PERIOD = 1.5, 240.0
#: What a camera of 16 bits can count.
SATURATION = 2**16 - 1
#: Frames in a block of `Simulation.lazy` fill some 8 MiB, so that few frames make several blocks.
BLOCK_BYTES = 8 << 20

_SMALLEST_SIDE = 64
_N_CELLS = 7

Image: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Simulation:
    """A bleaching series of cells as a camera would record it.

    Cells with a bright nucleus and filaments lie on a stage that drifts slowly. What they emit
    decays as ``unbleachable + (1 - unbleachable) * 2 ** (-t / half_life)``. The lamp flickers a little.
    To this come a dim background, Poisson noise of all light, the camera's offset and Gaussian noise of
    its readout; it counts whole numbers.

    Parameters
    ----------
    n_frames
        Number of frames.
    frame_shape
        Height and width of a frame [px], at least 64 each.
    frame_interval
        Time from frame to frame [s].
    seed
        Chooses cells and noise. Frame k has noise of its own from (seed, k), so that the frames are
        the same however they are grouped in blocks.
    peak_counts
        The brightest structures in the first frame, above the background [counts].
    background_counts
        Light that falls on every pixel of every frame [counts].
    offset_counts
        What the camera counts without light; has no Poisson noise [counts].
    half_life
        Time in which the bleachable part halves [s].
    unbleachable
        Share of the cells' light that does not bleach, 0 to 1.
    read_noise
        Standard deviation of the readout [counts].
    lamp_noise
        Standard deviation of the lamp's brightness from frame to frame, as a share of it.

    Raises
    ------
    ParameterError
        (a ValueError) if a parameter is out of its range.

    Examples
    --------
    >>> simulation = Simulation(n_frames=5, frame_shape=(64, 80), half_life=1.0, unbleachable=0.0)
    >>> simulation.times
    array([0. , 0.5, 1. , 1.5, 2. ])
    >>> simulation.factors[[0, 2, 4]]
    array([1., 2., 4.])
    >>> block = simulation.frames(1, 4)
    >>> block.shape, block.dtype
    ((3, 64, 80), dtype('float32'))
    >>> bool((simulation.lazy(block_frames=2)[1:4].compute() == block).all())
    True
    """

    n_frames: int = 300
    frame_shape: tuple[int, int] = (256, 256)
    frame_interval: float = 0.5
    seed: int = 0
    peak_counts: float = 900.0
    background_counts: float = 8.0
    offset_counts: float = 100.0
    half_life: float = 30.0
    unbleachable: float = 0.15
    read_noise: float = 1.6
    lamp_noise: float = 0.008

    def __post_init__(self) -> None:
        _check_integer("n_frames", self.n_frames, smallest=1)
        _check_integer("seed", self.seed, smallest=0)
        if len(self.frame_shape) != 2:
            raise ParameterError(f"frame_shape={self.frame_shape!r}: give height and width, such as (256, 256).")
        for side in self.frame_shape:
            _check_integer("a side of frame_shape", side, smallest=_SMALLEST_SIDE)
        for name in ("frame_interval", "half_life", "peak_counts"):
            _check_number(name, getattr(self, name), above_zero=True)
        for name in ("background_counts", "offset_counts", "read_noise", "lamp_noise"):
            _check_number(name, getattr(self, name), above_zero=False)
        if not 0.0 <= self.unbleachable <= 1.0:
            raise ParameterError(f"unbleachable={self.unbleachable!r}: give a share from 0 to 1.")

    @cached_property
    def times(self) -> NDArray[np.float64]:
        """(n,) acquisition time of each frame [s]."""
        return _read_only(np.arange(self.n_frames, dtype=np.float64) * float(self.frame_interval))

    @cached_property
    def factors(self) -> NDArray[np.float64]:
        """(n,) factor that makes each frame's cells as bright as those of the first frame."""
        brightness = self.unbleachable + (1.0 - self.unbleachable) * np.exp2(-self.times / self.half_life)
        with np.errstate(divide="ignore"):  # infinite where nothing is left
            return _read_only(1.0 / brightness)

    @property
    def background(self) -> float:
        """Mean of a pixel without a cell [counts]."""
        return self.offset_counts + self.background_counts

    @cached_property
    def cells(self) -> Image:
        """(y, x) light of the cells at rest, 0 to 1, before bleaching; 0 in the border."""
        return _read_only(_draw_cells(self.frame_shape, np.random.SeedSequence(self.seed, spawn_key=(0,))))

    def frames(self, start: int, stop: int) -> NDArray[np.float32]:
        """Compute a block of frames.

        Parameters
        ----------
        start, stop
            First frame, and the one after the last.

        Returns
        -------
        numpy.ndarray
            (stop - start, y, x) float32, whole numbers of counts.

        Raises
        ------
        ParameterError
            (a ValueError) if the series has no such frames.
        """
        if not 0 <= start <= stop <= self.n_frames:
            raise ParameterError(f"frames({start}, {stop}): the simulation has frames 0 to {self.n_frames}.")
        block = np.empty((stop - start, *self.frame_shape), np.float32)
        for target, number in zip(block, range(start, stop), strict=True):
            target[...] = self._frame(number)
        return block

    def lazy(self, block_frames: int | None = None) -> da.Array:
        """Return all frames as a dask array.

        Parameters
        ----------
        block_frames
            Number of frames in a block; by default as many as fill some 8 MiB.

        Returns
        -------
        dask.array.Array
            (n, y, x) float32, whole numbers of counts.

        Raises
        ------
        ParameterError
            (a ValueError) if `block_frames` is no integer of at least 1.
        """
        height, width = self.frame_shape
        if block_frames is None:
            block_frames = max(1, BLOCK_BYTES // (4 * height * width))
        _check_integer("block_frames", block_frames, smallest=1)
        numbers = da.arange(self.n_frames, chunks=block_frames)
        return numbers.map_blocks(
            _frames_of_numbers,
            self,
            chunks=(numbers.chunks[0], (height,), (width,)),
            new_axis=(1, 2),
            dtype=np.float32,
            meta=np.empty((0, 0, 0), np.float32),
        )

    def _frame(self, number: int) -> Image:
        noise = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(1, number)))
        light = self.peak_counts * max(0.0, noise.normal(1.0, self.lamp_noise)) / self.factors[number]
        cells = light * _shifted(self.cells, *_drift(self.times[number]))
        counts: Image = noise.poisson(cells + self.background_counts).astype(np.float64)
        counts += noise.normal(self.offset_counts, self.read_noise, counts.shape)
        return np.clip(np.rint(counts), 0.0, SATURATION, out=counts)


def _read_only(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.setflags(write=False)
    return array


def _frames_of_numbers(numbers: NDArray[np.int64], simulation: Simulation) -> NDArray[np.float32]:
    return simulation.frames(int(numbers[0]), int(numbers[-1]) + 1)


def _drift(time: float) -> tuple[float, float]:
    """Return where the stage is at a time: on a slow loop through (0, 0) [px]."""
    phase = 2.0 * np.pi * time / DRIFT_PERIOD
    return DRIFT_PX * float(np.sin(phase)), DRIFT_PX * float(1.0 - np.cos(phase)) / 2.0


def _shifted(image: Image, dy: float, dx: float) -> Image:
    """Shift an image with a dark margin by a part of a pixel; the sum of its light stays."""
    for axis, distance in enumerate((dy, dx)):
        whole = int(np.floor(distance))
        rest = distance - whole
        image = (1.0 - rest) * np.roll(image, whole, axis) + rest * np.roll(image, whole + 1, axis)
    return image


def _draw_cells(frame_shape: tuple[int, int], seeds: np.random.SeedSequence) -> Image:
    random = np.random.default_rng(seeds)
    # Space for the drift, and one pixel for its interpolation, is kept dark too.
    margin = BORDER_PX + int(np.ceil(DRIFT_PX)) + 1
    height, width = (side - 2 * margin for side in frame_shape)
    radius = 0.19 * float(np.sqrt(height * width))
    y, x = np.ogrid[:height, :width]
    filaments = _filaments(random, (height, width), radius)
    cells = np.zeros((height, width))
    for centre in _scatter(random, (height, width), radius):
        depth, direction = _shape_of_cell(random, y - centre[0], x - centre[1], radius)
        body = 1.0 / (1.0 + np.exp(-depth / 0.07))
        dome = np.sqrt(np.clip(depth, 0.0, 1.0))
        nucleus = _nucleus(random, y - centre[0], x - centre[1], radius, direction)
        cell = body * (0.10 + 0.22 * dome + 0.55 * filaments * (1.0 - nucleus)) + 0.62 * nucleus
        np.maximum(cells, random.uniform(0.75, 1.0) * cell, out=cells)
    cells *= _fade_out(height, radius)[:, None] * _fade_out(width, radius)
    return np.pad(cells / cells.max(), margin)


def _scatter(random: np.random.Generator, shape: tuple[int, int], radius: float) -> list[Image]:
    """Place some cells at random, none too close to another or to the edge."""
    edge = np.minimum(0.9 * radius, np.array(shape) / 2.5)
    centres: list[Image] = []
    for _ in range(400):
        centre = edge + random.random(2) * (np.array(shape) - 2.0 * edge)
        if all(np.hypot(*(centre - other)) > 1.55 * radius for other in centres):
            centres.append(centre)
        if len(centres) == _N_CELLS:
            break
    return centres


def _shape_of_cell(random: np.random.Generator, y: Image, x: Image, radius: float) -> tuple[Image, float]:
    """Return how deep each pixel lies within an irregular outline (1 in the middle, 0 at the edge)."""
    direction = random.uniform(0.0, np.pi)
    angle = np.arctan2(y, x)
    outline = 1.0 + random.uniform(0.10, 0.22) * np.cos(2.0 * (angle - direction))
    for lobes in (3, 4, 5):
        outline += random.uniform(0.02, 0.09) * np.cos(lobes * angle + random.uniform(0.0, 2.0 * np.pi))
    return 1.0 - np.hypot(y, x) / (radius * random.uniform(0.8, 1.05) * outline), float(direction)


def _nucleus(random: np.random.Generator, y: Image, x: Image, radius: float, direction: float) -> Image:
    """Return a soft ellipse, 1 within."""
    y, x = y - random.normal(0.0, 0.08 * radius), x - random.normal(0.0, 0.08 * radius)
    along = np.cos(direction) * x + np.sin(direction) * y
    across = np.cos(direction) * y - np.sin(direction) * x
    distance = np.hypot(along / (0.34 * radius), across / (0.25 * radius))
    nucleus: Image = 1.0 / (1.0 + np.exp((distance - 1.0) / 0.08))
    return nucleus


def _filaments(random: np.random.Generator, shape: tuple[int, int], radius: float) -> Image:
    """Return a net of thin lines: where smooth random fields cross zero."""
    net = np.zeros(shape)
    for scale in (0.10, 0.16):
        field = gaussian_filter(random.standard_normal(shape), max(1.5, scale * radius))
        ridges = np.exp(-0.5 * np.square(field / (0.16 * field.std())))
        np.maximum(net, ridges * random.uniform(0.8, 1.0), out=net)
    return gaussian_filter(net, 0.6)


def _fade_out(n: int, radius: float) -> Image:
    """Return a window over n pixels that falls to zero at both ends."""
    distance = np.minimum(np.arange(n), np.arange(n)[::-1]) / max(1.0, 0.25 * radius)
    window: Image = np.sin(0.5 * np.pi * np.clip(distance, 0.0, 1.0)) ** 2
    return window


def _check_integer(name: str, value: int, smallest: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < smallest:
        raise ParameterError(f"{name}={value!r}: give an integer of at least {smallest}.")


def _check_number(name: str, value: float, *, above_zero: bool) -> None:
    if not isfinite(value) or value < 0.0 or (above_zero and value == 0.0):
        raise ParameterError(f"{name}={value!r}: give a finite number {'above' if above_zero else 'of at least'} 0.")
