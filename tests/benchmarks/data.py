"""Series to measure with, stored as flimage stores them, but made fast."""

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5o, h5s, h5t
from numpy.typing import NDArray

from flimage_dask.hdf5.encoding import ChunkEncoding
from flimage_dask.hdf5.filters import checked
from flimage_dask.hdf5.layout import (
    BACKGROUNDS,
    RAW,
    VERSION_ATTRIBUTES,
    create_image,
    frame_name,
    write_attributes,
)
from flimage_dask.simulate import Simulation

#: What a camera counts, or counts after a correction that left them noisy floats.
Kind: TypeAlias = Literal["integer", "float"]
KINDS: tuple[Kind, ...] = ("integer", "float")

#: Deflating at level 9 takes most of the time of making a series, so a long one repeats frames.
MOST_DIFFERENT = 200

_LEVEL = 9
_READ_NOISE = 1.6


@dataclass(frozen=True)
class Recipe:
    """A bleaching series of square frames.

    Parameters
    ----------
    kind
        "integer" counts of a camera, or "float": the same after a flat-field, with noise of its own.
    side
        Height and width of a frame [px].
    n_frames
        Number of frames.
    n_different
        As many frames are computed; each stands for a stretch of the series.
    """

    kind: Kind
    side: int
    n_frames: int
    n_different: int = MOST_DIFFERENT

    @property
    def n_computed(self) -> int:
        """Number of different frames."""
        return min(self.n_frames, self.n_different)

    @property
    def n_bytes(self) -> int:
        """Uncompressed size of all frames."""
        return 4 * self.side**2 * self.n_frames

    @cached_property
    def times(self) -> NDArray[np.float64]:
        """(n,) acquisition times, counted in frames, which is the unit that flimage's fit needs [s]."""
        return np.arange(self.n_frames, dtype=np.float64)

    def different_frame_of(self, number: int) -> int:
        """Return which of the different frames stands at a place of the series."""
        return number * self.n_computed // self.n_frames

    def __str__(self) -> str:
        repeated = "" if self.n_computed == self.n_frames else f", {self.n_computed} of them different"
        return f"{self.n_frames:,} frames {self.side}x{self.side} of {self.kind} type{repeated}"


def write(recipe: Recipe, path: Path) -> Path:
    """Write a series: a chunk a frame, zlib level 9 without shuffle, fletcher32."""
    frame_of = _frames(recipe)
    with ThreadPoolExecutor(2) as pool:
        chunks = list(pool.map(lambda number: _stored(frame_of(number)), range(recipe.n_computed)))
    with h5py.File(path, "w") as file, h5py.File(uuid4().hex, "w", driver="core", backing_store=False) as memory:
        file.attrs["identifier"] = recipe.kind
        template = memory.create_group("frame")
        template.create_group(BACKGROUNDS)
        write_attributes(template, VERSION_ATTRIBUTES)
        create_image(template, RAW, (recipe.side, recipe.side), np.float32, ChunkEncoding(shuffle=False, level=_LEVEL))
        scalar = h5s.create(h5s.SCALAR)
        for number, time in enumerate(recipe.times):
            name = frame_name(number).encode()
            h5o.copy(memory.id, b"frame", file.id, name)
            attribute = h5a.create(h5g.open(file.id, name), b"time", h5t.NATIVE_DOUBLE, scalar)
            attribute.write(np.array(time))
            dataset = h5d.open(file.id, name + b"/" + RAW.encode())
            dataset.write_direct_chunk((0, 0), chunks[recipe.different_frame_of(number)])
    return path


def take(source: Path, path: Path, n_frames: int) -> Path:
    """Copy frames that lie evenly across a series to a series of their own, numbered in order."""
    with h5py.File(source, "r") as file, h5py.File(path, "w") as part:
        chosen = np.linspace(0, len(file) - 1, n_frames).astype(int)
        for number, origin in enumerate(chosen):
            file.copy(frame_name(int(origin)), part, frame_name(number))
            part[frame_name(number)].attrs["time"] = float(number)
    return path


def stored_chunks(path: Path) -> list[bytes]:
    """Return the stored bytes of all frames of a series."""
    with h5py.File(path, "r") as file:
        return [file[f"{frame_name(k)}/{RAW}"].id.read_direct_chunk((0, 0))[1] for k in range(len(file))]


def stored_size(path: Path) -> int:
    """Return the number of bytes that the pixels of a series take in its file."""
    with h5py.File(path, "r") as file:
        return sum(file[f"{name}/{RAW}"].id.get_storage_size() for name in file)


def frames_of(path: Path) -> Iterator[NDArray[np.float32]]:
    """Read the frames of a series through h5py, one by one."""
    with h5py.File(path, "r") as file:
        for number in range(len(file)):
            yield file[f"{frame_name(number)}/{RAW}"][...]


def _frames(recipe: Recipe) -> Callable[[int], NDArray[np.float32]]:
    """Return a function that computes the different frames."""
    n_different = recipe.n_computed
    simulation = Simulation(
        n_frames=n_different,
        frame_shape=(recipe.side, recipe.side),
        frame_interval=1.0,
        half_life=0.3 * n_different,
        read_noise=_READ_NOISE,
    )

    def integers(number: int) -> NDArray[np.float32]:
        return simulation.frames(number, number + 1)[0]

    def floats(number: int) -> NDArray[np.float32]:
        flat = 1.0 + 0.2 * np.hypot(*np.meshgrid(*[np.linspace(-1, 1, recipe.side)] * 2))
        noise = np.random.default_rng((1, number)).normal(0.0, _READ_NOISE, (recipe.side, recipe.side))
        return ((integers(number) + noise) / flat).astype(np.float32)

    return integers if recipe.kind == "integer" else floats


def _stored(frame: NDArray[Any]) -> bytes:
    return checked(zlib.compress(frame.tobytes(), _LEVEL))
