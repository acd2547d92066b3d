"""How much memory a run may use, and what it does with it: a plan made before the first frame is read."""

from dataclasses import dataclass

import dask
from dask.utils import format_bytes, parse_bytes

from ..errors import ParameterError
from ..hdf5.writer import MOST_WAITING_BYTES

#: Name of the setting in dask's configuration.
SETTING = "flimage_dask.memory"

#: A block larger than this only costs memory: dask's overhead is already below 1 % of reading it.
LARGEST_BLOCK = 8 << 20

#: The same of a block that becomes a part: each costs the scheduler and the client some milliseconds, and a worker
#: waits for the disk.
LARGEST_PART = 16 << 20

# So many that threads end at much the same time, but none smaller than what dask's overhead is small against.
# The blocks do not depend on the number of threads: a run is resumed in the same blocks on other machines.
_FEWEST_BLOCKS, _SMALLEST_BLOCK = 32, 256 << 10

_KEPT_BY_DEFAULT = 200 << 20

# What a thread holds at a time: a block as it is read, as it is corrected and as it is encoded,
# some frames on the way from one to the next, and buffers whose size nothing depends on.
_BLOCKS, _FRAMES, _BUFFERS = 3, 4, 8 << 20

# A block of one frame is itself what is on the way: 4.3 frames as measured with noise of 64 MiB a frame, which does
# not deflate.
_FRAMES_OF_ONE = 5

# Shares of a given budget, at most; the threads work with the rest.
_SHARE_KEPT, _SHARE_WAITING = 1 / 2, 1 / 8


@dataclass(frozen=True)
class MemoryPlan:
    """What a run does with its memory, all in bytes.

    Parameters
    ----------
    block_bytes
        Uncompressed size of the frames that a task works on.
    kept_bytes
        Frames that stay in memory between the estimate and the correction, at most.
    waiting_bytes
        Encoded blocks that wait for an earlier one to be stored, at most.
    n_threads
        Threads that work at a time.
    predicted_bytes
        What the run adds to the memory of the process at its peak.
    """

    block_bytes: int
    kept_bytes: int
    waiting_bytes: int
    n_threads: int
    predicted_bytes: int


def plan_memory(
    memory: int | str | None, *, n_frames: int, frame_bytes: int, n_threads: int, largest_block: int = LARGEST_BLOCK
) -> MemoryPlan:
    """Plan the memory of a run.

    Parameters
    ----------
    memory
        What the run may add to the memory of the process: bytes, or text such as ``"1 GiB"``. None
        takes the setting ``flimage_dask.memory`` of dask's configuration. Without either, all
        threads work on blocks of up to `largest_block` (less if dask's ``array.chunk-size`` is less)
        and 200 MiB of frames are kept.
    n_frames, frame_bytes
        Number of frames and size of one, uncompressed.
    n_threads
        Threads that there are.
    largest_block
        Size that no block exceeds, but for one of a single frame.

    Raises
    ------
    ParameterError
        (a ValueError) if `memory` is not a size, or too little for a single frame.

    Examples
    --------
    >>> plan = plan_memory("100 MiB", n_frames=1000, frame_bytes=2**20, n_threads=4)
    >>> plan.n_threads, plan.kept_bytes >> 20
    (2, 50)
    """
    asked = dask.config.get(SETTING, None) if memory is None else memory
    budget = None if asked is None else size_in_bytes(asked, "memory")
    kept, waiting, n_working, room = _KEPT_BY_DEFAULT, MOST_WAITING_BYTES, n_threads, largest_block
    if budget is not None:
        kept, waiting = int(_SHARE_KEPT * budget), min(int(_SHARE_WAITING * budget), MOST_WAITING_BYTES)
        n_working, room = _threads_and_room(budget, budget - kept - waiting, frame_bytes, n_threads)
    series_bytes = n_frames * frame_bytes
    chunk_size = int(parse_bytes(dask.config.get("array.chunk-size")))
    largest = min(room, largest_block, chunk_size, max(series_bytes // _FEWEST_BLOCKS, _SMALLEST_BLOCK))
    block = frame_bytes * max(1, largest // frame_bytes)
    of_a_thread = _thread_bytes(block, frame_bytes)
    if budget is not None:
        if block == frame_bytes:
            # More threads save more time than frames that need not be read again.
            n_working = min(n_threads, max(1, (budget - waiting) // of_a_thread))
        spare = budget - n_working * of_a_thread
        if spare < 0:
            raise ParameterError(
                f"memory={asked!r} is too little for frames of {format_bytes(frame_bytes)}: give at least "
                f"'{-(-of_a_thread // 2**20)} MiB'."
            )
        waiting = min(waiting, spare)
        kept = min(kept, spare - waiting)
    kept, waiting = min(kept, series_bytes), min(waiting, series_bytes)
    return MemoryPlan(block, kept, waiting, n_working, kept + waiting + n_working * of_a_thread)


def _threads_and_room(budget: int, at_work: int, frame_bytes: int, n_threads: int) -> tuple[int, int]:
    """Return how many threads can work on blocks of several frames, and the size of a block that they have room for.

    Where not even one can, it is given all of the budget: what is kept, or waits, only saves time.
    """
    on_the_way = _FRAMES * frame_bytes + _BUFFERS
    least = _BLOCKS * frame_bytes + on_the_way
    if at_work < least:
        return 1, (budget - on_the_way) // _BLOCKS
    n_working = min(n_threads, at_work // least)
    return n_working, (at_work // n_working - on_the_way) // _BLOCKS


def _thread_bytes(block_bytes: int, frame_bytes: int) -> int:
    if block_bytes == frame_bytes:
        return _FRAMES_OF_ONE * frame_bytes + _BUFFERS
    return _BLOCKS * block_bytes + _FRAMES * frame_bytes + _BUFFERS


def size_in_bytes(size: int | str, argument: str) -> int:
    """Return a size that is given in bytes, or as text such as "8 MiB".

    Raises
    ------
    ParameterError
        (a ValueError) that names the argument, if it is not a size above 0.
    """
    try:
        n_bytes = int(parse_bytes(size))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ParameterError(f"{argument}={size!r} is not a size: give bytes or text such as '8 MiB'.") from error
    if n_bytes <= 0:
        raise ParameterError(f"{argument}={size!r} must be positive.")
    return n_bytes
