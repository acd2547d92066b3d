"""Where the frames of a series lie: byte ranges, shapes and filters, found in one pass over the file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import h5py
import numpy as np
from h5py import h5d, h5g, h5o
from numpy.typing import NDArray

from ..errors import SeriesError
from ..progress import ignore_progress
from .files import noticing_damage
from .filters import FilterPipeline
from .image_layout import NO_RANGE, ImageLayout, flaw_of
from .layout import BACKGROUNDS, RAW, frame_name, unopened_error, where

# Frames between two reports: some 10 ms.
_BATCH = 100

# Drivers whose offsets are positions in one run of bytes.
_DRIVERS_OF_RANGES = ("sec2", "windows", "core", "fileobj")


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """Where some images of equal shape lie in a file.

    Attributes
    ----------
    numbers
        (n,) the number k of the frame ``fli_k`` that each image belongs to.
    dataset
        The name of the image within its frame, such as ``fluorescence/raw``.
    shape
        (y, x).
    dtype
        The common type of the images, in native byte order.
    offsets, sizes, skipped
        (n,) first byte, number of bytes and HDF5's filter mask of each image's only chunk;
        the offset is `NO_RANGE` where HDF5 itself must read the image.
    pipelines, pipeline_of
        The filter pipelines that occur, and (n,) which of them each image has.
    in_other_files
        Whether any image may lie in another file, whose changes leave no trace in this one.
    """

    numbers: NDArray[np.int64]
    dataset: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    skipped: NDArray[np.int64]
    pipelines: tuple[FilterPipeline, ...]
    pipeline_of: NDArray[np.int64]
    in_other_files: bool

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def image_bytes(self) -> int:
        """Bytes of one image without filters."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def path(self, position: int) -> str:
        """Return the name of an image's dataset, relative to the group of the series."""
        return f"{frame_name(int(self.numbers[position]))}/{self.dataset}"

    def take(self, positions: NDArray[np.int64]) -> Self:
        """Select images."""
        return replace(
            self,
            numbers=self.numbers[positions],
            offsets=self.offsets[positions],
            sizes=self.sizes[positions],
            skipped=self.skipped[positions],
            pipeline_of=self.pipeline_of[positions],
        )


@dataclass(frozen=True, eq=False)
class BackgroundIndex:
    """The distinct background images of one kind, and which of them each frame has.

    Frames that share a background by hard link share its entry.
    """

    images: ImageIndex
    image_of: NDArray[np.int64]  # (n_frames,); NO_IMAGE for none

    def take(self, positions: NDArray[np.int64]) -> Self:
        """Select frames."""
        return replace(self, image_of=self.image_of[positions])


#: Entry of a frame that has no background image of a kind.
NO_IMAGE = -1


@dataclass(frozen=True, eq=False)
class SeriesIndex:
    """Where the frames of a series and their background images lie."""

    frames: ImageIndex
    backgrounds: tuple[BackgroundIndex, ...]

    @property
    def in_other_files(self) -> bool:
        """Whether any image may lie in another file, whose changes leave no trace in this one."""
        return self.frames.in_other_files or any(kind.images.in_other_files for kind in self.backgrounds)

    def take(self, positions: NDArray[np.int64]) -> Self:
        """Select frames."""
        return replace(
            self,
            frames=self.frames.take(positions),
            backgrounds=tuple(background.take(positions) for background in self.backgrounds),
        )


def index_series(
    group: h5py.Group, numbers: NDArray[np.int64], on_frames: Callable[[int], None] = ignore_progress
) -> SeriesIndex:
    """Find the frames ``fli_k`` of a series, k in `numbers`, and their background images.

    Every frame is visited twice; `on_frames` is told of so many visits now and then.

    Raises
    ------
    SeriesError
        If the series is empty, has a gap, or holds frames or backgrounds of unequal shape, or
        such that are no images.
    FileError
        If HDF5 finds the file damaged.
    """
    if len(numbers) == 0:
        raise SeriesError(f"{where(group)} is a series without frames: add some with add_flimage(…).")
    with noticing_damage(group):
        frames = index_images(group, numbers, RAW, on_frames=on_frames)
        return SeriesIndex(frames, _index_backgrounds(group, frames, on_frames))


def index_images(
    group: h5py.Group,
    numbers: NDArray[np.int64],
    name: str,
    shape: tuple[int, int] | None = None,
    on_frames: Callable[[int], None] = ignore_progress,
) -> ImageIndex:
    """Find the dataset `name` of some frames; all must have one shape, which is `shape` if that is given.

    Raises
    ------
    SeriesError
        If one is missing, is no image or has another shape.
    """
    here, has_ranges = int(h5o.get_info(group.id).fileno), _has_ranges(group.file)
    in_other_files = False
    layouts: dict[ImageLayout, int] = {}
    layout: ImageLayout | None = None
    layout_of = np.empty(len(numbers), np.int64)
    offsets, sizes, skipped = np.empty((3, len(numbers)), np.int64)
    for row, number in _reporting(numbers, on_frames):
        dataset = _open_image(group, number, name)
        if layout is None or not layout.fits(dataset):
            _check_image(dataset, shape, group, number, name)
            layout = ImageLayout.of(dataset)
            shape = layout.shape
            kind = layouts.setdefault(layout, len(layouts))
        layout_of[row] = kind
        # A link may lead to another file, whose offsets mean nothing in this one.
        is_here = h5o.get_info(dataset).fileno == here
        in_other_files |= layout.may_be_elsewhere or not is_here
        can_be_located = is_here and has_ranges
        offsets[row], sizes[row], skipped[row] = layout.locate(dataset) if can_be_located else (NO_RANGE, 0, 0)
    dtype = np.result_type(*(layout.dtype for layout in layouts)).newbyteorder("=")
    foreign = np.array([layout.dtype != dtype for layout in layouts])
    offsets[foreign[layout_of]] = NO_RANGE
    return ImageIndex(
        numbers=numbers,
        dataset=name,
        shape=next(iter(layouts)).shape,
        dtype=dtype,
        offsets=offsets,
        sizes=sizes,
        skipped=skipped,
        pipelines=tuple(FilterPipeline(layout.filters, layout.dtype.itemsize) for layout in layouts),
        pipeline_of=layout_of,
        in_other_files=in_other_files,
    )


def _has_ranges(file: h5py.File) -> bool:
    """Tell whether offsets in a file are positions of bytes."""
    # Not every release of HDF5 counts a user block in its offsets.
    return file.driver in _DRIVERS_OF_RANGES and not file.userblock_size


def _reporting(numbers: NDArray[np.int64], on_frames: Callable[[int], None]) -> Iterator[tuple[int, int]]:
    """Give row and number of each frame, and report those that are done in batches."""
    for start in range(0, len(numbers), _BATCH):
        batch = numbers[start : start + _BATCH].tolist()
        yield from enumerate(batch, start)
        on_frames(len(batch))


def _index_backgrounds(
    group: h5py.Group, frames: ImageIndex, on_frames: Callable[[int], None]
) -> tuple[BackgroundIndex, ...]:
    """Index each kind of background (``data``, ``fit``), every shared image once."""
    kinds: dict[str, _Sharing] = {}
    for row, number in _reporting(frames.numbers, on_frames):
        for kind, address in _background_addresses(group, number):
            if kind not in kinds:
                kinds[kind] = _Sharing(len(frames))
            kinds[kind].add(row, number, address)
    return tuple(
        BackgroundIndex(
            index_images(group, np.array(sharing.owners), f"{BACKGROUNDS}/{kind}", frames.shape), sharing.image_of
        )
        for kind, sharing in kinds.items()
    )


class _Sharing:
    """Which frames share which image, told by the addresses of the images."""

    def __init__(self, n_frames: int) -> None:
        self.owners: list[int] = []  # number of the first frame of each distinct image
        self.image_of = np.full(n_frames, NO_IMAGE)
        self._images: dict[tuple[int, int], int] = {}

    def add(self, row: int, number: int, address: tuple[int, int]) -> None:
        if address not in self._images:
            self._images[address] = len(self.owners)
            self.owners.append(number)
        self.image_of[row] = self._images[address]


def _background_addresses(group: h5py.Group, number: int) -> list[tuple[str, tuple[int, int]]]:
    path = f"{frame_name(number)}/{BACKGROUNDS}".encode()
    if not group.id.links.exists(path):  # files of early versions lack the group: no background
        return []
    addresses = []
    try:
        holder = h5g.open(group.id, path)
        for position in range(holder.get_num_objs()):
            name = holder.get_objname_by_idx(position)
            info = h5o.get_info(holder, name)
            addresses.append((name.decode(), (info.fileno, info.addr)))
    except (KeyError, RuntimeError, ValueError) as error:
        raise SeriesError(
            f"the background of frame {number} of {where(group)} cannot be opened: {error.args[0]}. "
            f"Set another one with set_bg_data(…)."
        ) from error
    return addresses


def _open_image(group: h5py.Group, number: int, name: str) -> h5d.DatasetID:
    path = f"{frame_name(number)}/{name}"
    try:
        return h5d.open(group.id, path.encode())
    except KeyError as error:
        if frame_name(number) not in group:
            raise unopened_error(group, number, error) from error
        raise SeriesError(
            f"frame {number} of {where(group)} has no dataset '{name}' that can be opened ({error.args[0]}). "
            f"Leave it out with a slice of the series."
        ) from error


def _check_image(
    dataset: h5d.DatasetID, shape: tuple[int, int] | None, group: h5py.Group, number: int, name: str
) -> None:
    frame = f"frame {number} of {where(group)}"
    image = frame if name == RAW else f"the background '{name}' of {frame}"
    flaw = flaw_of(dataset)
    if flaw is not None:
        raise SeriesError(f"{image} {flaw}")
    if shape is not None and dataset.shape != shape:
        raise SeriesError(
            f"{image} has shape {dataset.shape}; the series has {shape}. "
            f"Leave it out with a slice of the series, or work on it alone as fls[{number}]."
        )
