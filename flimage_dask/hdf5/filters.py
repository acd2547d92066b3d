"""HDF5's filter pipeline on the bytes of one chunk: shuffle, deflate and fletcher32, both ways.

HDF5 runs its filters one chunk at a time under a global lock. The same bytes are made here
with codecs that release Python's lock, so that many chunks are coded in parallel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import deflate as libdeflate
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3

#: Anything that holds bytes: `bytes`, `bytearray`, `memoryview`.
Bytes: TypeAlias = bytes | bytearray | memoryview

CHECKSUM_BYTES = 4


class DamagedChunkError(ValueError):
    """The stored bytes of a chunk are not what its filters can have made."""


@dataclass(frozen=True)
class FilterPipeline:
    """The filters of a dataset, in the order in which they are applied on writing.

    Parameters
    ----------
    codes
        HDF5's numbers of the filters: 1 deflate, 2 shuffle, 3 fletcher32.
    itemsize
        Bytes of one element, which shuffle needs to know.
    """

    codes: tuple[int, ...]
    itemsize: int

    @staticmethod
    def can_decode(codes: Sequence[int]) -> bool:
        """Tell whether every one of these filters is known here."""
        return all(code in _DECODERS for code in codes)

    def decode(self, stored: Bytes, n_bytes: int, skipped: int = 0) -> Bytes:
        """Undo the filters of one stored chunk.

        Parameters
        ----------
        stored
            The bytes of the chunk as they lie in the file.
        n_bytes
            Size of the chunk without filters; anything else is refused.
        skipped
            HDF5's filter mask: bit k set means that filter k was not applied to this chunk.

        Raises
        ------
        DamagedChunkError
            If a checksum is wrong or the chunk does not inflate to `n_bytes`.
        """
        applied = [code for position, code in enumerate(self.codes) if not skipped >> position & 1]
        data: Bytes = stored
        while applied:
            code = applied.pop()
            room = n_bytes + CHECKSUM_BYTES * applied.count(FLETCHER32)
            data = _DECODERS[code](data, room, self.itemsize)
        if len(data) != n_bytes:
            raise DamagedChunkError(f"holds {len(data)} bytes instead of {n_bytes}")
        return data


@dataclass(frozen=True)
class Encoding:
    """How a frame becomes a chunk: optional shuffle, deflate, fletcher32.

    The deflate codec follows from the kind of data, as measured on corrected frames:
    shuffled floats deflate fastest with ISA-L at level 1; the repetitive values of
    corrected counts deflate as fast and 6 % smaller with libdeflate's level 1.
    """

    shuffle: bool
    level: int = 1

    def encode(self, frame: NDArray[Any]) -> bytes:
        """Return the stored bytes of one frame."""
        deflated: Bytes
        if self.shuffle:
            deflated = isal_zlib.compress(shuffled(frame), self.level)
        else:
            deflated = libdeflate.zlib_compress(_bytes_of(frame), self.level)
        return b"".join((deflated, fletcher32(deflated).to_bytes(CHECKSUM_BYTES, "little")))


def choose_encoding(sample: Sequence[NDArray[Any]]) -> tuple[Encoding, float]:
    """Choose the smaller encoding of some frames, and the share of their size that it leaves."""
    n_bytes = sum(frame.nbytes for frame in sample)
    sizes = {
        encoding: sum(len(encoding.encode(frame)) for frame in sample)
        for encoding in (Encoding(shuffle=False), Encoding(shuffle=True))
    }
    best = min(sizes, key=lambda encoding: sizes[encoding])
    return best, sizes[best] / n_bytes


def shuffled(frame: NDArray[Any]) -> NDArray[np.uint8]:
    """Group the first bytes of all elements, then the second bytes, and so on."""
    return np.ascontiguousarray(_bytes_of(frame).reshape(-1, frame.dtype.itemsize).T)


def fletcher32(data: Bytes) -> int:
    """Return HDF5's checksum: Fletcher's sums of big-endian 16-bit words, modulo 65535.

    The second sum weighs each word by the number of words from it to the end. Sums over
    rows of 16 words stay below 2**24, so single-precision matrix products are exact, and they
    run at 9 GB/s without Python's lock; pieces bound the memory.
    """
    octets = np.frombuffer(data, np.uint8)
    first, second, n_whole = 0, 0, octets.size // _ROW_BYTES * _ROW_BYTES
    for start in range(0, n_whole, _PIECE_BYTES):
        rows = octets[start : min(start + _PIECE_BYTES, n_whole)].view(">u2").reshape(-1, _ROW_WORDS)
        sums = (rows.astype(np.float32) @ _ROW_WEIGHTS).astype(np.int64)
        words_after = _ROW_WORDS * np.arange(len(rows) - 1, -1, -1)
        second += rows.size * first + int(sums[:, 1].sum() + words_after @ sums[:, 0])
        first += int(sums[:, 0].sum())
    rest = bytes(octets[n_whole:])
    for low in range(0, len(rest), 2):
        first += int.from_bytes(rest[low : low + 2].ljust(2, b"\0"), "big")
        second += first
    return _folded(second) << 16 | _folded(first)


_ROW_WORDS = 16
_ROW_BYTES = 2 * _ROW_WORDS
# Small enough to stay in the cache and below the size at which BLAS would start threads of its own.
_PIECE_BYTES = 2048 * _ROW_BYTES
_ROW_WEIGHTS = np.stack([np.ones(_ROW_WORDS), np.arange(_ROW_WORDS, 0, -1)], axis=1).astype(np.float32)


def _folded(total: int) -> int:
    """Reduce modulo 65535 as end-around carry does: only an empty sum is 0."""
    return (total - 1) % 65535 + 1 if total else 0


def _bytes_of(frame: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(frame).reshape(-1).view(np.uint8)


def _inflate(data: Bytes, n_bytes: int, itemsize: int) -> Bytes:
    try:
        return libdeflate.zlib_decompress(data, n_bytes)
    except libdeflate.DeflateError as error:
        raise DamagedChunkError(f"does not inflate to {n_bytes} bytes") from error


def _unshuffle(data: Bytes, n_bytes: int, itemsize: int) -> Bytes:
    octets = np.frombuffer(data, np.uint8)
    whole = octets.size // itemsize * itemsize
    out = np.empty_like(octets)
    elements = out[:whole].reshape(-1, itemsize)
    # Three times as fast as one transposed copy, whose inner loop is a single element long.
    for position, plane in enumerate(octets[:whole].reshape(itemsize, -1)):
        elements[:, position] = plane
    out[whole:] = octets[whole:]
    return out.data


def _verify(data: Bytes, n_bytes: int, itemsize: int) -> Bytes:
    if len(data) < CHECKSUM_BYTES:
        raise DamagedChunkError("is too short to hold its checksum")
    view = memoryview(data)
    content = view[:-CHECKSUM_BYTES]
    stored = int.from_bytes(view[-CHECKSUM_BYTES:], "little")
    computed = fletcher32(content)
    # HDF5 before 1.6.3 wrote the bytes of each sum in the other order and still reads them so.
    if stored not in (computed, _bytes_swapped(computed)):
        raise DamagedChunkError("has a wrong checksum (fletcher32)")
    return content


def _bytes_swapped(checksum: int) -> int:
    return (checksum & 0x00FF00FF) << 8 | (checksum & 0xFF00FF00) >> 8


#: How to undo each filter: (data, size of the result, itemsize) -> data.
_DECODERS: dict[int, Callable[[Bytes, int, int], Bytes]] = {
    DEFLATE: _inflate,
    SHUFFLE: _unshuffle,
    FLETCHER32: _verify,
}
