"""Run a lazy array into a series, by whoever computes blocks, with its progress shown."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
from numpy.typing import DTypeLike

from ._version import __version__
from .budget import LARGEST_BLOCK, plan_memory
from .direct_run import DirectRun
from .errors import FileError, ParameterError, SeriesError
from .hdf5.attributes import Columns
from .hdf5.backgrounds import NO_BACKGROUND, StoredBackground
from .hdf5.encoding import FLIMAGE_LIKE, Storage
from .hdf5.files import bound_metadata_cache
from .hdf5.layout import ESTIMATE, IDENTIFIER, PROVENANCE, VERSION_ATTRIBUTES
from .hdf5.output import Output, check_output, open_output
from .hdf5.parts import PartFolder
from .hdf5.writer import SeriesWriter
from .meta import check_key
from .notices import ClippingWarning, warn
from .part_run import PartRun, refuse_parts
from .plain_json import through_json
from .progress import track
from .scheduling import Resources, ThisProcess, Workers, active_workers, leaves_parts, threads_because


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
    background: StoredBackground = NO_BACKGROUND,
    estimate: str | None = None,
    resources: Resources | None = None,
    resume: bool | None = None,
    keepsakes: Mapping[str, Callable[[], str]] | None = None,
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
    background
        What is stored beside them.
    estimate
        The estimate of bleaching with which the frames were corrected, as JSON, for the root.
    resources
        Who computes, and in what memory; by default those of the active scheduler, without a budget.
    resume
        What to do with the finished blocks of an earlier run: go on with them (True), remove them
        (False), or refuse to start (None). The workers of a cluster leave such blocks, and so do
        threads that are to resume.
    keepsakes
        What a run that goes on with this one needs not to find out again, by name; see `part_run.keepsake`.
    on_stored
        Called with a number of frames whenever some have been stored.

    Raises
    ------
    ParameterError
        (a ValueError) if `array` is not three-dimensional, real and of known shape, or the
        metadata do not fit.
    FileError
        (an OSError) if the output cannot be written; nothing is left of it under its name.
    UnfinishedRunError
        (a FileExistsError) if an earlier run left blocks that are not those of this one.

    Warns
    -----
    ClippingWarning
        If pixels lie outside the type; the provenance holds their number too.
    """
    frames = _in_whole_frames(array)
    n_frames, *frame_shape = (int(size) for size in frames.shape)
    check_columns(columns, n_frames)
    described = _described(provenance)
    check_target(output, source, overwrite=overwrite, resume=resume)
    frame_bytes = int(np.prod(frame_shape)) * dtype.itemsize
    resources = resources or _unlimited(n_frames, frame_bytes)
    run = _run(frames, output, dtype, storage, background, resources.workers, resume, keepsakes or {})
    with (
        run.opened(),
        open_output(output, overwrite=overwrite, scratch=run.scratch) as group,
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
            background=background,
            most_waiting_bytes=resources.plan.waiting_bytes,
            on_stored=report,
        )
        with writer:
            run.fill(writer)
        if writer.n_stored != n_frames:
            raise FileError(f"only {writer.n_stored} of {n_frames} frames were written.")
        if identifier is not None:
            group.attrs[IDENTIFIER] = identifier
        stored_as = {"dtype": str(dtype), **writer.encoding.dataset_options, **_clipped(writer, dtype)}
        group.attrs[PROVENANCE] = json.dumps(_stamped(described, stored_as), allow_nan=False)
        if estimate is not None:
            group.attrs[ESTIMATE] = estimate
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
    return {"n_clipped": writer.n_clipped} if dtype.kind in "iu" or writer.n_clipped else {}


def _what_is_clipped(n_clipped: int, n_pixels: int, dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return (
            f"{n_clipped:,} of {n_pixels:,} pixels lie outside {dtype} (up to {np.finfo(dtype).max:.3g}) and became "
            f"infinite: a wider type keeps all."
        )
    lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
    signed = "a signed type such as int16 keeps what is below 0, " if lowest == 0 else ""
    return (
        f"{n_clipped:,} of {n_pixels:,} pixels lie outside {dtype} ({lowest} to {highest}), or are NaN, and were "
        f"clipped: {signed}float32 keeps all."
    )


def check_target(output: Output, source: Path | None, *, overwrite: bool, resume: bool | None) -> None:
    """Refuse an output that cannot be written, or that an earlier run left unfinished, before any work is done.

    Raises
    ------
    FileError
        (an OSError) see `hdf5.output.check_output`.
    UnfinishedRunError
        (a FileExistsError) see `part_run.refuse_parts`.
    """
    check_output(output, source, overwrite=overwrite)
    if not isinstance(output, h5py.Group):
        refuse_parts(PartFolder.of(Path(output)), resume=resume)


def _unlimited(n_frames: int, frame_bytes: int) -> Resources:
    workers = active_workers()
    plan = plan_memory(None, n_frames=n_frames, frame_bytes=frame_bytes, n_threads=workers.n_threads)
    return Resources(workers.limited_to(plan.n_threads), plan)


def _run(
    frames: da.Array,
    output: Output,
    dtype: np.dtype[Any],
    storage: Storage,
    background: StoredBackground,
    workers: Workers,
    resume: bool | None,
    keepsakes: Mapping[str, Callable[[], str]],
) -> DirectRun | PartRun:
    """Let workers write parts if they are other processes, or if the run is to be resumed."""
    if isinstance(output, h5py.Group):
        able = workers if isinstance(workers, ThisProcess) else threads_because("an open group belongs to its process")
        return DirectRun(frames, able)
    if leaves_parts(workers, resume):
        return PartRun(PartFolder.of(Path(output)), frames, dtype, storage, background, workers, resume, keepsakes)
    if resume is False:
        PartFolder.of(Path(output)).remove()
    return DirectRun(frames, workers)


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


def check_columns(columns: Columns, n_frames: int) -> None:
    """Refuse metadata that do not fit the frames, or name two of them alike.

    Raises
    ------
    ParameterError, MetaKeyError, SeriesError
        (a ValueError, a KeyError, a ValueError) for another number of values, a key outside the vocabulary, or
        an identifier that occurs twice.
    """
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


def _described(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse a provenance that could not be stored before any work is done."""
    try:
        described: dict[str, Any] = through_json(provenance)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"an argument cannot be recorded in the output: {error}.") from error
    return described


def _stamped(provenance: Mapping[str, Any], stored_as: Mapping[str, Any]) -> dict[str, Any]:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {"version": __version__, **provenance, "storage": dict(stored_as), "created": created}
