"""An output is put together from parts, in the order of its frames and while others are still being made."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, count, pairwise, takewhile
from time import perf_counter
from typing import Self

from ..errors import FileError
from ..hdf5.parts import DamagedPartError, Part, PartFolder, ReusedMemory
from ..hdf5.writer import SeriesWriter

_log = logging.getLogger(__name__)

# A part that is damaged each time it is written is no accident.
_MOST_TRIES = 3


class Assembly:
    """Copy parts into an output; while one is stored, the next one is read and its checksum looked at.

    Parameters
    ----------
    folder
        Where the parts are.
    starts
        Position of the first frame of each block.
    check
        Raises `DamagedPartError` for a part that is not the one of the block with this number.
    make
        Makes the parts of some blocks again, and yields their numbers.
    writer
        Stores their frames.
    """

    def __init__(
        self,
        folder: PartFolder,
        starts: Sequence[int],
        check: Callable[[int, Part], None],
        make: Callable[[Sequence[int]], Iterator[int]],
        writer: SeriesWriter,
    ) -> None:
        self._folder = folder
        self._starts = starts
        self._check = check
        self._make = make
        self._writer = writer
        self._ready: set[int] = set()
        self._n_stored = 0
        self._copied = _Copied()
        # For the one that is stored and the one behind it.
        self._memories = ReusedMemory(), ReusedMemory()
        self._reader = ThreadPoolExecutor(1, "flimage_dask-parts")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._reader.shutdown()

    def expect(self, numbers: Iterable[int]) -> None:
        """Take note of parts that are there, without storing them yet."""
        self._ready.update(numbers)

    def add(self, number: int) -> None:
        """Store a part that is there now, and all those that waited for it."""
        self._copied.part_is_there()
        self._ready.add(number)
        self._store_all(list(takewhile(self._ready.__contains__, count(self._n_stored))))

    def finish(self) -> None:
        """Store all that is left."""
        self._store_all(range(self._n_stored, len(self._starts)))
        _log.debug("%s", self._copied)

    def _store_all(self, numbers: Sequence[int]) -> None:
        readings = (self._reader.submit(self._read, number) for number in numbers)
        # Of each pair, the second one is begun before the first one is waited for.
        for number, (reading, _) in zip(numbers, pairwise(chain(readings, [None])), strict=True):
            self._copied.add(self._store, number, reading)
            self._n_stored += 1

    def _read(self, number: int) -> Part:
        part = self._folder.read(self._starts[number], self._memories[number % len(self._memories)])
        self._check(number, part)
        return part

    def _store(self, number: int, reading: Future[Part]) -> int:
        """Copy a part into the output, and return its size; if it is damaged, let it be made again."""
        first = self._starts[number]
        for _ in range(_MOST_TRIES):
            try:
                part = reading.result()
            except DamagedPartError as error:
                reason = str(error)
                self._folder.discard(first)
                for _ in self._make([number]):
                    pass
                reading = self._reader.submit(self._read, number)
            else:
                self._writer.store(first, part.chunks, part.n_clipped)
                return sum(chunk.nbytes for chunk in part.chunks)
        raise FileError(
            f"the block of frame {first} {reason} each time it is read back from '{self._folder.path}': check that "
            f"disk, or write to another one."
        )


class _Copied:
    """How fast parts are copied, and how much is left to be copied once the last one is there."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._at_last_part = self._start
        self._n_bytes = 0
        self._seconds = 0.0

    def __str__(self) -> str:
        whole, before = (moment - self._start for moment in (perf_counter(), self._at_last_part))
        rate = self._n_bytes / self._seconds / 1e6 if self._seconds else 0.0
        return (
            f"the last part came after {before:.3f} s, the output was filled after {whole:.3f} s; "
            f"{self._n_bytes / 1e6:.1f} MB were copied at {rate:.0f} MB/s."
        )

    def add(self, copy: Callable[..., int], *arguments: object) -> None:
        """Copy a part."""
        start = perf_counter()
        self._n_bytes += copy(*arguments)
        self._seconds += perf_counter() - start

    def part_is_there(self) -> None:
        """Take note of a part, which may be the last."""
        self._at_last_part = perf_counter()
