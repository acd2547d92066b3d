"""How frames are stored: as the user says, or as a sample of the frames themselves suggests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias
from uuid import uuid4

import h5py
import numpy as np
from h5py import h5d, h5z
from h5py._objects import phil
from numpy.typing import NDArray

from ..errors import FileError, ParameterError
from .filters import Bytes, bytes_of, checked, deflated, shuffled


class Chunk(NamedTuple):
    """A frame as it lies in a file.

    Parameters
    ----------
    content
        The encoded bytes.
    skipped
        HDF5's filter mask: bit k set means that filter k was not applied.
    """

    content: Bytes
    skipped: int = 0

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return len(self.content)


#: Pixels as they are stored: an encoded chunk, or the frame itself without any filter.
Stored: TypeAlias = Chunk | NDArray[Any]

#: "gzip", which every HDF5 program reads; "lzf", which h5py reads; None; or a filter of hdf5plugin.
Compression: TypeAlias = str | Mapping[str, Any] | None

# ISA-L's second level deflates as fast as its first. Of corrected counts it leaves 19 % more than
# level 9, the first one 22 %; of shuffled noisy floats both leave the same.
_DEFAULT_LEVEL = 2
_LEVELS = range(10)
_NAMES = ("gzip", "lzf")


class FrameEncoding(Protocol):
    """A way to store frames."""

    @property
    def dataset_options(self) -> dict[str, Any]:
        """What `h5py.Group.create_dataset` is to be told."""
        ...

    def encode(self, frame: NDArray[Any]) -> Stored:
        """Return what is stored for a frame."""
        ...


@dataclass(frozen=True)
class ChunkEncoding:
    """A ready-made chunk a frame, made in parallel: optional shuffle, optional deflate, fletcher32.

    Parameters
    ----------
    shuffle
        Whether bytes of equal significance are grouped first.
    level
        Of deflate, 0 to 9; None leaves it out.
    """

    shuffle: bool
    level: int | None = _DEFAULT_LEVEL

    @property
    def dataset_options(self) -> dict[str, Any]:
        """What `h5py.Group.create_dataset` is to be told."""
        deflate = {} if self.level is None else {"compression": "gzip", "compression_opts": self.level}
        return {"shuffle": self.shuffle, **deflate, "fletcher32": True}

    def encode(self, frame: NDArray[Any]) -> Chunk:
        """Return the chunk of a frame."""
        content: Bytes = (shuffled(frame) if self.shuffle else bytes_of(frame)).data
        return Chunk(checked(content if self.level is None else deflated(content, self.level)))


@dataclass(frozen=True)
class HDF5Encoding:
    """Whatever filters HDF5 has, which run one frame at a time under its lock.

    Parameters
    ----------
    dataset_options
        What `h5py.Group.create_dataset` is to be told.
    """

    dataset_options: dict[str, Any]

    def encode(self, frame: NDArray[Any]) -> Chunk:
        """Return the chunk of a frame, as HDF5 makes it in a file in memory."""
        _load_filter(self.dataset_options["compression"])
        with h5py.File(uuid4().hex, "w", driver="core", backing_store=False) as memory:
            dataset = memory.create_dataset("frame", data=frame, chunks=frame.shape, **self.dataset_options)
            skipped, content = dataset.id.read_direct_chunk((0, 0))
            return Chunk(content, skipped)


class PlainEncoding:
    """No chunks and no filters."""

    dataset_options: ClassVar[dict[str, Any]] = {}

    def encode(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Return the frame as it is."""
        return frame


#: For images in memory: no viewer opens them, and compression would save nothing.
PLAIN = PlainEncoding()


@dataclass(frozen=True)
class Storage:
    """What a user asks of the stored frames.

    Parameters
    ----------
    compression
        See `Compression`.
    level
        Of "gzip", 0 to 9.
    shuffle
        Whether bytes of equal significance are grouped; None takes what makes a sample smaller.

    Raises
    ------
    ParameterError
        (a ValueError) for an unknown compression, a level out of range or without "gzip".
    """

    compression: Compression = "gzip"
    level: int | None = None
    shuffle: bool | None = None

    def __post_init__(self) -> None:
        if self.shuffle is not None:
            # What is noted of a run and of an output is JSON, which knows no numpy.bool.
            object.__setattr__(self, "shuffle", bool(self.shuffle))
        if self.compression is not None:
            _check_compression(self.compression)
        if self.level is None:
            return
        if self.compression != "gzip":
            raise ParameterError(f"level={self.level!r} goes with compression='gzip' only.")
        if not isinstance(self.level, Integral) or self.level not in _LEVELS:
            raise ParameterError(f"level={self.level!r}: give an integer from 0 (store) to 9 (smallest, slow).")

    def choose(self, sample: Sequence[NDArray[Any]]) -> tuple[ChunkEncoding | HDF5Encoding, float]:
        """Choose the smallest encoding of some frames, and the share of their size that it leaves."""
        shuffles = (False, True) if self.shuffle is None else (self.shuffle,)
        encodings = [self.encoding(shuffle) for shuffle in shuffles]
        sizes = [sum(encoding.encode(frame).nbytes for frame in sample) for encoding in encodings]
        best = int(np.argmin(sizes))
        return encodings[best], sizes[best] / sum(frame.nbytes for frame in sample)

    def encoding(self, shuffle: bool) -> ChunkEncoding | HDF5Encoding:
        """Return the encoding that shuffles or does not."""
        if self.compression == "gzip":
            return ChunkEncoding(shuffle, _DEFAULT_LEVEL if self.level is None else int(self.level))
        if self.compression is None:
            return ChunkEncoding(shuffle, None)
        return HDF5Encoding({"shuffle": shuffle, **_options_of(self.compression), "fletcher32": True})


def _options_of(compression: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(compression, str):
        return {"compression": compression}
    options = dict(compression)
    if isinstance(options.get("compression_opts"), Sequence):
        options["compression_opts"] = tuple(int(option) for option in options["compression_opts"])
    return options


def _check_compression(compression: str | Mapping[str, Any]) -> None:
    ways = f"{', '.join(map(repr, _NAMES))}, None or a filter such as hdf5plugin.Zstd()"
    if isinstance(compression, str):
        if compression not in _NAMES:
            raise ParameterError(f"compression={compression!r}: give {ways}.")
        return
    if not isinstance(compression, Mapping) or "compression" not in compression:
        raise ParameterError(f"compression={compression!r}: give {ways}.")
    _load_filter(compression["compression"])


def load_filters(dataset: h5d.DatasetID) -> None:
    """Make HDF5 know the filters of a dataset that it is going to read, in whichever process that is.

    Raises
    ------
    FileError
        If the first chunk needs a filter that HDF5 does not know, hdf5plugin included.
    """
    properties = dataset.get_create_plist()
    if properties.get_layout() == h5d.VIRTUAL:
        # What the datasets behind it need is not known here.
        _load_plugins()
    for position in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(position)
        if not _is_known(code) and _is_applied(dataset, position):
            called = f" ({name.decode(errors='replace')})" if name else ""
            raise FileError(f"HDF5 does not know the filter {code}{called}")


def _is_applied(dataset: h5d.DatasetID, position: int) -> bool:
    """Tell whether a filter, by its position in the pipeline, was applied to the first chunk."""
    return dataset.get_num_chunks() > 0 and not dataset.get_chunk_info(0).filter_mask >> position & 1


def _load_filter(code: Any) -> None:
    """Make HDF5 know a filter that is to be applied, in whichever process it is needed."""
    if isinstance(code, Integral) and not _is_known(int(code)):
        raise ParameterError(
            f"HDF5 does not know the filter {code}: install hdf5plugin, on the workers of a cluster too."
        )


def _is_known(code: int) -> bool:
    """Tell whether HDF5 knows a filter, with the help of hdf5plugin if that is installed."""
    if not h5z.filter_avail(code):
        _load_plugins()
    return bool(h5z.filter_avail(code))


def _load_plugins() -> None:
    # It calls h5py while it is imported. Who waited for the import with h5py's lock, as readers hold it, would be
    # waited for in turn.
    with phil:
        if find_spec("hdf5plugin") is not None:
            import_module("hdf5plugin")


#: As flimage stores frames: deflate and a checksum, which every HDF5 program reads.
FLIMAGE_LIKE = Storage()
