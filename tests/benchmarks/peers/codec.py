"""The codec alone, in as many threads: what no program that stores these bytes can beat.

Bytes in memory are inflated, and corrected frames in memory are deflated. Nothing is read, checked,
corrected, shuffled or written.
"""

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import deflate as libdeflate
import h5py
import numpy as np
from dask.system import CPU_COUNT
from isal import isal_zlib
from numpy.typing import NDArray

from flimage_dask.hdf5.filters import CHECKSUM_BYTES
from flimage_dask.hdf5.layout import RAW, frame_name

from .. import data

# Enough work for a thread at a time that handing it out costs nothing.
_BATCH_BYTES = 1 << 21

Deflate = Callable[[bytes], bytes]

_DEFLATERS: dict[str, Deflate] = {
    **{f"ISA-L level {level}": partial(isal_zlib.compress, level=level) for level in range(4)},
    **{f"libdeflate level {level}": partial(libdeflate.zlib_compress, compresslevel=level) for level in range(1, 10)},
    **{f"zlib level {level}": partial(zlib.compress, level=level) for level in range(1, 10)},
}


@dataclass(frozen=True)
class Codec:
    """How the frames of a series were deflated.

    Parameters
    ----------
    name
        For a reader, such as "ISA-L level 1 after shuffle".
    deflate
        Deflates bytes in the same way.
    shuffle
        Whether bytes were shuffled first.
    """

    name: str
    deflate: Deflate
    shuffle: bool

    @classmethod
    def of(cls, series: Path) -> Self:
        """Find out what deflated a series: the codec that makes the same bytes of its first frame."""
        with h5py.File(series, "r") as file:
            dataset = file[f"{frame_name(0)}/{RAW}"]
            if dataset.compression != "gzip":
                raise ValueError(f"'{series}' is compressed with {dataset.compression}, not with deflate.")
            frame, shuffle, n_check = dataset[...], dataset.shuffle, CHECKSUM_BYTES * dataset.fletcher32
            _, stored = dataset.id.read_direct_chunk((0, 0))
        plain = _plain(frame, shuffle)
        name, is_same = _deflater_of(stored[: len(stored) - n_check], plain)
        remarks = (" after shuffle" if shuffle else "") + ("" if is_same else ", the nearest in size")
        return cls(name + remarks, _DEFLATERS[name], shuffle)


def _plain(frame: NDArray[Any], shuffle: bool) -> bytes:
    """Return the bytes of a frame as they are deflated."""
    octets = frame.reshape(-1).view(np.uint8).reshape(-1, frame.itemsize)
    return (octets.T if shuffle else octets).tobytes()


def _deflater_of(stored: bytes, plain: bytes) -> tuple[str, bool]:
    """Return the codec that makes these bytes, and whether it is that or only the nearest in size."""
    differences = {}
    for name, deflate in _DEFLATERS.items():
        made = deflate(plain)
        if made == stored:
            return name, True
        differences[name] = abs(len(made) - len(stored))
    return min(differences, key=lambda name: differences[name]), False


class CodecAlone:
    """Inflate the frames of a series, and deflate those of its correction.

    Parameters
    ----------
    series
        Its stored chunks are inflated.
    corrected
        What ours made of it; its frames are deflated with its codec and settings.
    n_threads
        How many inflate and deflate.
    """

    def __init__(self, series: Path, corrected: Path, n_threads: int = CPU_COUNT) -> None:
        self.codec = Codec.of(corrected)
        self._n_threads = n_threads
        self._stored = [chunk[:-CHECKSUM_BYTES] for chunk in data.stored_chunks(series)]
        frames = data.frames_of(corrected)
        self._plain = [_plain(frame, self.codec.shuffle) for frame in frames]
        self._n_bytes = len(self._plain[0])

    def both(self) -> None:
        """Inflate and deflate every frame."""
        self._in_threads(self._one_frame, list(zip(self._stored, self._plain, strict=True)))

    def inflate(self) -> None:
        """Inflate every frame."""
        self._in_threads(self._inflate, self._stored)

    def deflate(self) -> None:
        """Deflate every frame."""
        self._in_threads(self.codec.deflate, self._plain)

    def _one_frame(self, pair: tuple[bytes, bytes]) -> None:
        stored, plain = pair
        self._inflate(stored)
        self.codec.deflate(plain)

    def _inflate(self, stored: bytes) -> bytes:
        return libdeflate.zlib_decompress(stored, self._n_bytes)

    def _in_threads(self, function: Callable[[Any], object], items: Sequence[Any]) -> None:
        n_batch = max(1, _BATCH_BYTES // self._n_bytes)

        def do(first: int) -> None:
            for item in items[first : first + n_batch]:
                function(item)

        with ThreadPoolExecutor(self._n_threads) as pool:
            list(pool.map(do, range(0, len(items), n_batch)))
