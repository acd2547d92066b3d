"""Background images that are stored with the frames of an output, so that ``fl = raw - bg`` holds for every reader.

A fitted background is an image of each frame, in ``bg_data/fit``. A measured one is shared: the first frame
holds it in ``bg_data/data``, all others a hard link to it, as flimage does with ``bg_from_idx``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import h5py
import numpy as np
from h5py import h5g
from numpy.typing import NDArray

from ..correction.pixel_type import contiguous, in_type
from .encoding import ChunkEncoding, FrameEncoding, HDF5Encoding, Storage
from .layout import BACKGROUNDS, create_image, write_attributes, write_image

_Stored = TypeVar("_Stored")

FIT = f"{BACKGROUNDS}/fit"
_DATA = f"{BACKGROUNDS}/data"


class StoredBackground(Protocol):
    """What is stored beside the raw image of each frame. It may travel to other processes."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """Paths, within a frame, of the images that each frame has of its own."""
        ...

    def stored_images(self, block: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """Give all images that are stored of a block (frame, y, x): each frame, followed by those of its own.

        Backgrounds are found in the frames as they are stored, in the type `dtype`.
        """
        ...

    def create(self, frame: h5py.Group, shape: tuple[int, int], dtype: np.dtype[Any], encoding: FrameEncoding) -> None:
        """Create the datasets of a frame, without pixels."""
        ...

    def attach(self, group: h5py.Group, name: str, first: str | None, dtype: np.dtype[Any]) -> None:
        """Give a new frame what it shares with others; `first` names the first frame, if there was one before."""
        ...


@dataclass(frozen=True)
class NoBackground:
    """Frames that are stored as they are."""

    datasets: tuple[str, ...] = ()

    def stored_images(self, block: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """Give the frames."""
        return iter(block)

    def create(self, frame: h5py.Group, shape: tuple[int, int], dtype: np.dtype[Any], encoding: FrameEncoding) -> None:
        """Create nothing."""

    def attach(self, group: h5py.Group, name: str, first: str | None, dtype: np.dtype[Any]) -> None:
        """Share nothing."""


NO_BACKGROUND = NoBackground()


@dataclass(frozen=True, eq=False)
class FittedBackground:
    """A background image for each frame.

    Parameters
    ----------
    find
        Gives the background image (y, x) of each frame of a block, which the next one may overwrite.
    attributes
        What is to be known about them.
    """

    find: Callable[[NDArray[Any]], Iterator[NDArray[Any]]]
    attributes: Mapping[str, Any]
    datasets: tuple[str, ...] = field(default=(FIT,), init=False)

    def stored_images(self, block: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """Give each frame and its background."""
        stored = np.asarray(block, dtype)
        for frame, image in zip(stored, self.find(stored), strict=True):
            yield frame
            yield image.astype(dtype)

    def create(self, frame: h5py.Group, shape: tuple[int, int], dtype: np.dtype[Any], encoding: FrameEncoding) -> None:
        """Create the dataset of the background."""
        write_attributes(create_image(frame, FIT, shape, dtype, encoding), self.attributes)

    def attach(self, group: h5py.Group, name: str, first: str | None, dtype: np.dtype[Any]) -> None:
        """Share nothing."""


@dataclass(frozen=True, eq=False)
class SharedBackground:
    """One background image for all frames.

    Parameters
    ----------
    image
        (y, x) [counts].
    attributes
        What is to be known about it.
    """

    image: NDArray[Any]
    attributes: Mapping[str, Any]
    datasets: tuple[str, ...] = field(default=(), init=False)

    def stored_images(self, block: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """Give the frames."""
        return iter(block)

    def create(self, frame: h5py.Group, shape: tuple[int, int], dtype: np.dtype[Any], encoding: FrameEncoding) -> None:
        """Create nothing."""

    def attach(self, group: h5py.Group, name: str, first: str | None, dtype: np.dtype[Any]) -> None:
        """Store the image in the first frame, and link it to all others."""
        if first is None:
            write_attributes(write_image(group[name][BACKGROUNDS], "data", self.image, dtype), self.attributes)
            return
        parent: h5g.GroupID = group.id
        parent.links.create_hard(f"{name}/{_DATA}".encode(), parent, f"{first}/{_DATA}".encode())


def choose_encoding(
    storage: Storage, block: NDArray[Any], dtype: np.dtype[Any], background: StoredBackground
) -> tuple[ChunkEncoding | HDF5Encoding, float]:
    """Choose by all images of the first, the middle and the last frame of a block; see `Storage.choose`."""
    n_frames = len(block)
    # A large frame is not copied to be sampled.
    some, _ = in_type(block if n_frames < 4 else block[[0, n_frames // 2, n_frames - 1]], dtype)
    return storage.choose([contiguous(image, dtype)[0] for image in background.stored_images(some, dtype)])


def encode_block(
    block: NDArray[Any],
    dtype: np.dtype[Any],
    background: StoredBackground,
    encode: Callable[[NDArray[Any]], _Stored],
) -> tuple[list[_Stored], int]:
    """Encode all images of the frames of a block, and count the pixels that their type cannot hold."""
    frames, n_clipped = in_type(block, dtype)
    encoded = []
    for image in background.stored_images(frames, dtype):
        pixels, n_infinite = contiguous(image, dtype)
        encoded.append(encode(pixels))
        n_clipped += n_infinite
    return encoded, n_clipped
