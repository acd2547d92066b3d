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

    The second sum weighs each word by the number of words from it to the end. Swapping the bytes of all
    words multiplies the sums by 256, modulo 65535, so that the words are read in the order in which they are
    fast to read.
    """
    octets = np.frombuffer(data, np.uint8)
    first = second = 0
    for start in range(0, octets.size, _PIECE_BYTES):
        piece = octets[start : start + _PIECE_BYTES]
        n_words = -(-piece.size // 2)
        total, weighted = (_sums_of_few if n_words <= _FEW_WORDS else _sums_of_many)(piece, n_words)
        second += n_words * first + weighted
        first += total
    return _folded(second << 8) << 16 | _folded(first << 8)


# Most of the time goes into numpy calls: each releases Python's lock and then waits to get it back. So few
# words are weighed one by one; many are laid out in squares, whose rows and columns are summed and weighed. 256
# words below 2**16 add up to less than 2**24, up to which float32 counts without gaps.
_SIDE = 256
_SQUARE_WORDS = _SIDE**2
_MOST_SQUARES = 16
_PIECE_BYTES = 2 * _MOST_SQUARES * _SQUARE_WORDS
_FEW_WORDS = 1 << 15
_FROM_WORD_TO_END = np.arange(_FEW_WORDS + 0.0, 0.0, -1.0)
_FROM_COLUMN_TO_END = np.arange(_SIDE, 0, -1)
_AFTER_ROW = _SIDE * np.arange(_MOST_SQUARES * _SIDE - 1, -1, -1)


def _sums_of_few(octets: NDArray[np.uint8], n_words: int) -> tuple[int, int]:
    """Sum words, and words weighed by the number of words from each to the end."""
    words = np.empty(n_words)
    _lay_out(octets, words)
    # Unlike a product of vectors, this starts no threads of its own.
    return int(words.sum()), int(np.einsum("i,i", words, _FROM_WORD_TO_END[_FEW_WORDS - n_words :]))


def _sums_of_many(octets: NDArray[np.uint8], n_words: int) -> tuple[int, int]:
    """Do the same, as if zeros followed the words."""
    squares = np.empty((-(-n_words // _SQUARE_WORDS), _SIDE, _SIDE), np.float32)
    words = squares.reshape(-1)
    _lay_out(octets, words[:n_words])
    words[n_words:] = 0.0
    of_rows = np.einsum("kij->ki", squares).reshape(-1).astype(np.int64)
    of_columns = np.einsum("kij->kj", squares).astype(np.int64).sum(axis=0)
    total = int(of_rows.sum())
    weighted = int(of_rows @ _AFTER_ROW[-of_rows.size :]) + int(of_columns @ _FROM_COLUMN_TO_END)
    return total, weighted - (words.size - n_words) * total


def _lay_out(octets: NDArray[np.uint8], words: NDArray[Any]) -> None:
    """Convert bytes to words; HDF5 takes the last one of an odd number for a whole word."""
    n_pairs = octets.size // 2
    words[:n_pairs] = octets[: 2 * n_pairs].view("<u2")
    words[n_pairs:] = octets[2 * n_pairs :]


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
