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


def deflated(data: Bytes, level: int) -> bytes:
    """Deflate as zlib does at a level from 0 to 9.

    ISA-L is the fastest codec and has two levels worth having; libdeflate has all of them.
    """
    if level in _LEVELS_OF_ISAL:
        return isal_zlib.compress(data, level)
    return bytes(libdeflate.zlib_compress(data, level))


_LEVELS_OF_ISAL = (1, 2)


def shuffled(frame: NDArray[Any]) -> NDArray[np.uint8]:
    """Group the first bytes of all elements, then the second bytes, and so on."""
    octets, itemsize = bytes_of(frame), frame.dtype.itemsize
    if itemsize not in _WORDS:
        return np.ascontiguousarray(octets.reshape(-1, itemsize).T).reshape(-1)
    # Shifting whole words is more than twice as fast as a transposed copy of single bytes.
    rest = octets.view(_WORDS[itemsize]).copy()
    planes = np.empty((itemsize, rest.size), np.uint8)
    for plane in planes[:-1]:
        np.copyto(plane, rest, casting="unsafe")
        np.right_shift(rest, 8, out=rest)
    np.copyto(planes[-1], rest, casting="unsafe")
    return planes.reshape(-1)


# Unsigned integers whose bytes stand in the order of their significance.
_WORDS = {itemsize: np.dtype(f"<u{itemsize}") for itemsize in (2, 4, 8)}


def checked(content: Bytes) -> bytes:
    """Append the checksum of some bytes to them."""
    return b"".join((content, fletcher32(content).to_bytes(CHECKSUM_BYTES, "little")))


def fletcher32(data: Bytes) -> int:
    """Return HDF5's checksum: Fletcher's sums of big-endian 16-bit words, modulo 65535.

    The second sum weighs each word by the number of words from it to the end, which follows from
    the sums of rows and columns of words. Swapping the bytes of all words multiplies the sums by
    256, modulo 65535, so that the words are read in the order in which they are fast to read.
    """
    octets = np.frombuffer(data, np.uint8)
    n_words = octets.size // 2
    n_rows = n_words // _ROW_WORDS if n_words > _FEW_WORDS else 0
    words = octets[: 2 * n_words].view("<u2")
    rows = words[: n_rows * _ROW_WORDS].reshape(n_rows, _ROW_WORDS)
    first = second = 0
    for start in range(0, n_rows, _PIECE_ROWS):
        piece = rows[start : start + _PIECE_ROWS].astype(np.float32)
        of_rows, of_columns = np.einsum("ij->i", piece), np.einsum("ij->j", piece)
        total = of_rows.sum(dtype=np.float64)
        weighted = _ROW_WORDS * (of_rows @ _TO_END[-len(of_rows) :] - total) + of_columns @ _TO_END[-_ROW_WORDS:]
        second += piece.size * first + int(weighted)
        first += int(total)
    rest = words[rows.size :].astype(np.float64)
    if octets.size % 2:
        rest = np.append(rest, octets[-1])
    second += rest.size * first + int(rest @ _TO_END[len(_TO_END) - len(rest) :])
    first += int(rest.sum())
    return _folded(second << 8) << 16 | _folded(first << 8)


# 256 words below 2**16 add up to less than 2**24, up to which float32 counts without gaps; einsum
# adds them faster than anything else in numpy. Few words are weighed one by one: fewer calls.
_ROW_WORDS = _PIECE_ROWS = 256
_FEW_WORDS = 8192
_TO_END = np.arange(_FEW_WORDS + 1.0, 0.0, -1.0)


def _folded(total: int) -> int:
    """Reduce modulo 65535 as end-around carry does: only an empty sum is 0."""
    return (total - 1) % 65535 + 1 if total else 0


def bytes_of(frame: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the bytes of a frame in its own order."""
    return np.ascontiguousarray(frame).reshape(-1).view(np.uint8)


def _inflate(data: Bytes, n_bytes: int, itemsize: int) -> Bytes:
    try:
        return libdeflate.zlib_decompress(data, n_bytes)
    except libdeflate.DeflateError as error:
        raise DamagedChunkError(f"does not inflate to {n_bytes} bytes") from error


def _unshuffle(data: Bytes, n_bytes: int, itemsize: int) -> Bytes:
    octets = np.frombuffer(data, np.uint8)
    n_words = octets.size // itemsize
    planes = octets[: n_words * itemsize].reshape(itemsize, n_words)
    out = np.empty_like(octets)
    whole = out[: planes.size]
    if itemsize in _WORDS:
        words = whole.view(_WORDS[itemsize])
        words[...] = planes[-1]
        for plane in planes[-2::-1]:
            np.left_shift(words, 8, out=words)
            np.bitwise_or(words, plane, out=words)
    else:
        whole.reshape(n_words, itemsize)[...] = planes.T
    out[planes.size :] = octets[planes.size :]
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
