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

# Shares of a given budget; the threads work with the rest.
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
    series_bytes = n_frames * frame_bytes
    if asked is None:
        n_working, room, kept, waiting = n_threads, largest_block, _KEPT_BY_DEFAULT, MOST_WAITING_BYTES
    else:
        budget = size_in_bytes(asked, "memory")
        kept, waiting = int(_SHARE_KEPT * budget), min(int(_SHARE_WAITING * budget), MOST_WAITING_BYTES)
        at_work, least = budget - kept - waiting, _thread_bytes(frame_bytes, frame_bytes)
        if least > at_work:
            raise ParameterError(
                f"memory={asked!r} is too little for frames of {format_bytes(frame_bytes)}: give at least "
                f"'{-(-least * budget // at_work // 2**20)} MiB'."
            )
        n_working = min(n_threads, at_work // least)
        room = (at_work // n_working - _BUFFERS - _FRAMES * frame_bytes) // _BLOCKS
    chunk_size = int(parse_bytes(dask.config.get("array.chunk-size")))
    largest = min(room, largest_block, chunk_size, max(series_bytes // _FEWEST_BLOCKS, _SMALLEST_BLOCK))
    block, kept, waiting = (
        frame_bytes * max(1, largest // frame_bytes),
        min(kept, series_bytes),
        min(waiting, series_bytes),
    )
    predicted = kept + waiting + n_working * _thread_bytes(block, frame_bytes)
    return MemoryPlan(block, kept, waiting, n_working, predicted)


def _thread_bytes(block_bytes: int, frame_bytes: int) -> int:
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
