"""The file format of flimage 0.3.3: group names, attributes and dataset properties.

An image is a group with ``fluorescence/raw``, ``fluorescence/bg_data/*`` and its metadata as
attributes. A series is a group of images ``fli_0``, ``fli_1``, … with an optional attribute
``identifier``. See ``docs/file_format.md``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5s
from numpy.typing import DTypeLike, NDArray

from .._version import __version__
from ..errors import FileError, SeriesError
from .encoding import FLIMAGE_LIKE, PLAIN, Chunk, FrameEncoding, Stored

FLUORESCENCE = "fluorescence"
RAW = "fluorescence/raw"
BACKGROUNDS = "fluorescence/bg_data"
IDENTIFIER = "identifier"
PROVENANCE = "flimage_dask"
#: The estimate of bleaching with which the frames of a series were corrected, as JSON. A text may be of any length,
#: and a dataset would be counted by whoever takes all that lies in the root for frames.
ESTIMATE = "flimage_dask estimate"

#: What flimage demands of every frame that it opens read-only.
VERSION_ATTRIBUTES = {
    "flimage version": f"0.3.3+flimage_dask.{__version__}",
    "qpimage version": "0.9.3",
}

#: With these, HDF5 viewers show a dataset as a picture.
PICTURE_ATTRIBUTES = {
    "CLASS": np.bytes_("IMAGE"),
    "IMAGE_VERSION": np.bytes_("1.2"),
    "IMAGE_SUBCLASS": np.bytes_("IMAGE_GRAYSCALE"),
}

# HDF5 counts so many in some milliseconds.
_MANY_FRAMES = 10_000

_FRAME_NAME = re.compile(r"fli_(0|[1-9][0-9]*)\Z")


def frame_name(number: int) -> str:
    """Return the name of a frame's group."""
    return f"fli_{number}"


def where(group: h5py.Group) -> str:
    """Name a group for an error message: its file, and its path within unless it is the root."""
    filename = group.file.filename
    return f"'{filename}'" if group.name == "/" else f"'{group.name}' of '{filename}'"


def is_in_memory(group: h5py.Group) -> bool:
    """Tell whether a group belongs to a file that exists in memory only."""
    return bool(group.file.driver == "core")


def path_of(group: h5py.Group) -> Path | None:
    """Return the whole path of a group's file; None if that is in memory or behind a URL."""
    file = group.file
    return None if file.driver in ("core", "fileobj") else Path(file.filename).absolute()


def is_writable(group: h5py.Group) -> bool:
    """Tell whether the file of a group is open for writing."""
    return bool(group.file.mode != "r")


def count_frames(group: h5py.Group) -> int:
    """Count the frames of a series; of a long one those before the first gap that a search meets.

    HDF5 counts by visiting all links. A search for the last frame asks for some forty of them,
    however many there are; `check_no_gap` notices frames that it missed.
    """
    n_found = _search_last(group) + 1
    return n_found if n_found > _MANY_FRAMES else _count_all(group)


def check_no_gap(group: h5py.Group, n_frames: int) -> None:
    """Refuse a series that has other frames than `fli_0` to the last of `n_frames`, visiting all of them."""
    if _count_all(group) != n_frames:
        raise gap_error(group, next(number for number in range(n_frames + 1) if frame_name(number) not in group))


def _search_last(group: h5py.Group) -> int:
    """Return the number of a frame that has no next one; -1 without any."""
    last, step = -1, 1
    while frame_name(last + step) in group:
        last, step = last + step, 2 * step
    while step > 1:
        step //= 2
        if frame_name(last + step) in group:
            last += step
    return last


def _count_all(group: h5py.Group) -> int:
    """Count the frames, at once if nothing else stands beside them."""
    n_links = len(group)
    if n_links == 0 or frame_name(n_links - 1) in group:
        return n_links
    return sum(1 for name in group if _FRAME_NAME.match(name))


def gap_error(group: h5py.Group, number: int) -> SeriesError:
    """Make the error for a frame that is missing between others."""
    return SeriesError(
        f"{where(group)} has no frame '{frame_name(number)}' although later frames exist: the series has a gap. "
        f"Rename the groups so that their numbers run from 0 without one missing."
    )


def unopened_error(group: h5py.Group, number: int, error: Exception) -> SeriesError:
    """Make the error for a frame that does not open: it is missing between others, or there is something else."""
    if not group.id.links.exists(frame_name(number).encode()):
        return gap_error(group, number)
    return SeriesError(
        f"frame {number} of {where(group)} cannot be opened ({said(error)}): restore the file from a copy, or leave "
        f"the frame out with slices of the series."
    )


def damage_error(group: h5py.Group, error: Exception) -> FileError:
    """Make the error for what HDF5 cannot make sense of."""
    return FileError(f"{where(group)} is damaged: {said(error)}. Restore the file from a copy.")


def said(error: Exception) -> str:
    """Return what an error says; a KeyError would show it as Python writes it."""
    return str(error.args[0] if error.args else type(error).__name__)


def check_is_series(group: h5py.Group) -> None:
    """Refuse a group that is a single image."""
    if FLUORESCENCE in group:
        raise SeriesError(
            f"{where(group)} holds a single image (FLImage), not a series: open it with FLImage(h5file=…)."
        )


def check_is_image(group: h5py.Group) -> None:
    """Refuse a group that is a series."""
    if frame_name(0) in group and FLUORESCENCE not in group:
        raise SeriesError(
            f"{where(group)} holds a series (FLSeries), not a single image: open it with FLSeries(h5file=…)."
        )


def write_image(group: h5py.Group, key: str, data: NDArray[Any], dtype: DTypeLike) -> h5py.Dataset:
    """Store one image as flimage does: a checked, deflated chunk on disk, plain data in memory."""
    if key in group:
        del group[key]
    stored = np.ascontiguousarray(data, dtype)
    encoding: FrameEncoding = PLAIN if is_in_memory(group) else FLIMAGE_LIKE.choose([stored])[0]
    dataset = create_image(group, key, stored.shape, stored.dtype, encoding)
    store_pixels(dataset.id, encoding.encode(stored))
    return dataset


def create_image(
    group: h5py.Group, key: str, shape: tuple[int, ...], dtype: DTypeLike, encoding: FrameEncoding
) -> h5py.Dataset:
    """Create the dataset of one image without pixels: one chunk, or plain data."""
    if encoding is PLAIN:
        return group.create_dataset(key, shape=shape, dtype=dtype)
    dataset = group.create_dataset(key, shape=shape, dtype=dtype, chunks=shape, **encoding.dataset_options)
    for name, value in PICTURE_ATTRIBUTES.items():
        dataset.attrs.create(name, value)
    return dataset


def store_pixels(dataset: h5d.DatasetID, stored: Stored) -> None:
    """Store the pixels of one image: a chunk as it is, or plain data."""
    if isinstance(stored, Chunk):
        dataset.write_direct_chunk((0, 0), stored.content, stored.skipped)
    else:
        dataset.write(h5s.ALL, h5s.ALL, stored)


def mark_version(group: h5py.Group) -> None:
    """Give an image the version attributes that it lacks."""
    for key, version in VERSION_ATTRIBUTES.items():
        if key not in group.attrs:
            group.attrs[key] = version


def read_attributes(group: h5py.Group) -> dict[str, Any]:
    """Read all attributes of a group.

    Raises
    ------
    FileError
        If HDF5 finds one damaged, or h5py knows no such type.
    """
    try:
        return dict(group.attrs)
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise damage_error(group, error) from error


def write_attributes(group: h5py.Group, attributes: Mapping[str, Any]) -> None:
    """Set attributes of a group."""
    for key, value in attributes.items():
        group.attrs[key] = value
