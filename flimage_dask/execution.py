"""Run a lazy array into a series, on whichever dask scheduler is active, with its progress shown."""

import json
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.multiprocessing
import h5py
import numpy as np
from dask.base import get_scheduler
from dask.delayed import Delayed
from dask.system import CPU_COUNT
from numpy.typing import DTypeLike

from ._version import __version__
from .budget import LARGEST_BLOCK, MemoryPlan, plan_memory
from .errors import FileError, ParameterError, SeriesError
from .hdf5.attributes import Columns
from .hdf5.encoding import FLIMAGE_LIKE, Storage
from .hdf5.files import bound_metadata_cache
from .hdf5.layout import IDENTIFIER, PROVENANCE, VERSION_ATTRIBUTES
from .hdf5.output import Output, check_output, open_output
from .hdf5.writer import BlockTarget, SeriesWriter
from .meta import check_key
from .notices import ClippingWarning, SchedulerWarning, warn
from .progress import track


def write_series(
    array: da.Array,
    output: Output,
    *,
    columns: Columns,
    provenance: Mapping[str, Any],
    dtype: np.dtype[Any],
    identifier: str | None,
    source: Path | None,
    overwrite: bool,
    progress: bool | None,
    storage: Storage = FLIMAGE_LIKE,
    plan: MemoryPlan | None = None,
    on_stored: Callable[[int], None] | None = None,
) -> None:
    """Compute a lazy array (frame, y, x) block by block and store it as a series.

    Parameters
    ----------
    array
        The frames.
    output
        A path, where the series appears when it is whole, or an empty open group.
    columns
        Metadata: for each key one value a frame, or None.
    provenance
        What the output is, for its root.
    dtype
        Type of the stored frames. Integers are rounded and clipped.
    identifier
        Identifier of the series.
    source
        The file that `array` reads, which must not be the output.
    storage
        How frames are stored.
    plan
        What the run may hold in memory; by default that of `plan_memory` without a budget.
    on_stored
        Called with a number of frames whenever some have been stored.

    Raises
    ------
    ParameterError
        (a ValueError) if `array` is not three-dimensional, real and of known shape, or the
        metadata do not fit.
    FileError
        (an OSError) if the output cannot be written; nothing is left of it.

    Warns
    -----
    ClippingWarning
        If pixels lie outside an integer type; the provenance holds their number too.
    """
    frames = _in_whole_frames(array)
    n_frames, *frame_shape = (int(size) for size in frames.shape)
    _check_columns(columns, n_frames)
    check_output(output, source, overwrite=overwrite)
    frame_bytes = int(np.prod(frame_shape)) * dtype.itemsize
    plan = plan or plan_memory(None, n_frames=n_frames, frame_bytes=frame_bytes, n_threads=count_threads())
    with (
        open_output(output, overwrite=overwrite) as group,
        track(n_frames, "writing", progress, frame_bytes=frame_bytes) as shown,
    ):
        if not isinstance(output, h5py.Group):
            bound_metadata_cache(group.file, n_frames)

        def report(n_stored: int) -> None:
            shown.advance(n_stored)
            if on_stored is not None:
                on_stored(n_stored)

        writer = SeriesWriter(
            group,
            frame_shape=(frame_shape[0], frame_shape[1]),
            dtype=dtype,
            columns=_with_versions(columns, n_frames),
            n_frames=n_frames,
            storage=storage,
            most_waiting_bytes=plan.waiting_bytes,
            on_stored=report,
        )
        with writer:
            compute(_stored_in_order(frames, writer), n_threads=plan.n_threads)
        if writer.n_stored != n_frames:
            raise FileError(f"only {writer.n_stored} of {n_frames} frames were written.")
        if identifier is not None:
            group.attrs[IDENTIFIER] = identifier
        stored_as = {"dtype": str(dtype), **writer.encoding.dataset_options, **_clipped(writer, dtype)}
        group.attrs[PROVENANCE] = json.dumps(_stamped(provenance, stored_as), allow_nan=False)
    # When the output is whole: warnings may be errors.
    if writer.n_clipped:
        warn(_what_is_clipped(writer.n_clipped, frames.size, dtype), ClippingWarning)


def stored_type(dtype: DTypeLike) -> np.dtype[Any]:
    """Return a type in which frames can be stored.

    Raises
    ------
    ParameterError
        (a ValueError) if it is no type of real numbers.
    """
    try:
        stored = np.dtype(dtype)
    except TypeError as error:
        raise ParameterError(f"dtype={dtype!r} is no type of numbers: {error}.") from error
    if stored.kind not in "fiu":
        raise ParameterError(f"dtype={stored} is no type of real numbers: give 'float32', 'int16' or the like.")
    return stored


def _clipped(writer: SeriesWriter, dtype: np.dtype[Any]) -> dict[str, int]:
    return {"n_clipped": writer.n_clipped} if dtype.kind in "iu" else {}


def _what_is_clipped(n_clipped: int, n_pixels: int, dtype: np.dtype[Any]) -> str:
    lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
    signed = "a signed type such as int16 keeps what is below 0, " if lowest == 0 else ""
    return (
        f"{n_clipped:,} of {n_pixels:,} pixels lie outside {dtype} ({lowest} to {highest}), or are NaN, and were "
        f"clipped: {signed}float32 keeps all."
    )


def _stored_in_order(frames: da.Array, target: BlockTarget) -> Delayed:
    """Store blocks in the order of the frames.

    dask would run them in the order of their names, 9 before 10 before 1, and those that come too
    early would wait in memory. A chain of empty tasks, each behind one block, gives them their order.
    """
    store = dask.delayed(operator.setitem, pure=False)
    follow = dask.delayed(_follow, pure=False)
    shared = dask.delayed(target, traverse=False)
    last_frame = np.cumsum(frames.chunks[0])
    done = None
    for block, n_frames, stop in zip(frames.to_delayed().ravel(), frames.chunks[0], last_frame, strict=True):
        where = (slice(int(stop) - n_frames, int(stop)), slice(None), slice(None))
        done = follow(store(shared, where, block), done)
    return done


def _follow(stored: None, before: None) -> None:
    """Come after a block and all blocks before it."""


def compute(*collections: Any, n_threads: int | None = None) -> tuple[Any, ...]:
    """Compute dask collections whose tasks must run in this process, with no more threads than are asked for."""
    limit = {} if n_threads is None else {"num_workers": n_threads}
    with dask.config.set(limit):
        results: tuple[Any, ...] = dask.compute(*collections, **_scheduler_of_this_process())
    return results


def count_threads() -> int:
    """Count the threads on which `compute` would run."""
    scheduler = get_scheduler()
    client: Any = getattr(scheduler, "__self__", None)
    if scheduler is dask.get:
        return 1
    if hasattr(client, "scheduler_info") and _is_in_process(client):
        return sum(client.nthreads().values())
    return int(dask.config.get("num_workers", None) or CPU_COUNT)


def _scheduler_of_this_process() -> dict[str, str]:
    """Keep the active scheduler if its tasks can reach an open file; else choose threads."""
    scheduler = get_scheduler()
    client = getattr(scheduler, "__self__", None)
    if scheduler is dask.multiprocessing.get:
        reason = "the scheduler 'processes' cannot write to an open file"
    elif hasattr(client, "scheduler_info") and not _is_in_process(client):
        reason = "the workers of the active cluster are other processes and cannot write to an open file"
    else:
        return {}
    warn(f"{reason}: the threads of this process do the work.", SchedulerWarning)
    return {"scheduler": "threads"}


def _is_in_process(client: Any) -> bool:
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return bool(workers) and all(address.startswith("inproc://") for address in workers)


def _in_whole_frames(array: da.Array) -> da.Array:
    """Check an array and cut it into blocks of whole frames."""
    if not isinstance(array, da.Array):
        raise ParameterError(f"expected a dask array (frame, y, x), got {type(array).__name__}.")
    if array.ndim != 3:
        raise ParameterError(f"expected a dask array (frame, y, x), got one of shape {array.shape}.")
    if np.isnan(array.shape).any():
        raise ParameterError("the array has blocks of unknown size: call array.compute_chunk_sizes() first.")
    if array.dtype.kind not in "fiub":
        raise ParameterError(f"frames are stored as real numbers; the array has type {array.dtype}.")
    if 0 in array.shape:
        raise SeriesError(f"an array of shape {array.shape} holds no pixels to write.")
    if array.numblocks[1:] == (1, 1):
        return array
    n_block = max(1, LARGEST_BLOCK // (array.itemsize * array.shape[1] * array.shape[2]))
    return array.rechunk((n_block, -1, -1))


def _check_columns(columns: Columns, n_frames: int) -> None:
    for key, column in columns.items():
        check_key(key)
        if len(column) != n_frames:
            raise ParameterError(f"the metadata '{key}' have {len(column)} values for {n_frames} frames.")
    names = [name for name in columns.get(IDENTIFIER, ()) if name is not None]
    if len(set(names)) != len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise SeriesError(f"the identifier '{twice}' occurs twice: identifiers of frames must differ.")


def _with_versions(columns: Columns, n_frames: int) -> Columns:
    """Add the version attributes without which flimage opens no frame read-only."""
    versions = {
        key: [version if found is None else found for found in columns.get(key, [None] * n_frames)]
        for key, version in VERSION_ATTRIBUTES.items()
    }
    return {**columns, **versions}


def _stamped(provenance: Mapping[str, Any], stored_as: Mapping[str, Any]) -> dict[str, Any]:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {"version": __version__, **provenance, "storage": dict(stored_as), "created": created}
