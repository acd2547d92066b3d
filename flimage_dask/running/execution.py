"""Run a lazy array into a series, by whoever computes blocks, with its progress shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dask.array as da
import h5py
import numpy as np

from ..errors import FileError, ParameterError, SeriesError
from ..hdf5.attributes import Columns
from ..hdf5.backgrounds import NO_BACKGROUND, StoredBackground
from ..hdf5.files import bound_metadata_cache
from ..hdf5.layout import IDENTIFIER, VERSION_ATTRIBUTES
from ..hdf5.output import open_output
from ..hdf5.writer import SeriesWriter
from ..meta import check_key
from ..notices import ClippingWarning, warn
from ..progress import both, ignore_progress, track
from .budget import LARGEST_BLOCK
from .destination import Destination
from .direct_run import DirectRun
from .part_run import PartRun
from .provenance import Provenance
from .scheduling import Resources, ThisProcess, Workers, active_workers, leaves_parts, threads_because


@dataclass(frozen=True, eq=False)
class NewSeries:
    """What a series is going to hold.

    Parameters
    ----------
    frames
        A lazy array (frame, y, x).
    columns
        Metadata: for each key one value a frame, or None.
    provenance
        What the frames are.
    identifier
        Identifier of the series.
    background
        What is stored beside the frames.
    """

    frames: da.Array
    columns: Columns
    provenance: Provenance
    identifier: str | None
    background: StoredBackground = NO_BACKGROUND


def write_series(
    series: NewSeries,
    destination: Destination,
    *,
    progress: bool | None,
    resources: Resources | None = None,
    keepsake_name: str | None = None,
    on_stored: Callable[[int], None] | None = None,
) -> None:
    """Compute a series block by block and store it.

    Parameters
    ----------
    series
        What to store.
    destination
        Where, and how.
    progress
        Show a progress bar; None shows it in a terminal and in a notebook.
    resources
        Who computes, and in what memory; by default those of the active scheduler, in that of dask's setting
        ``flimage_dask.memory``.
    keepsake_name
        Under this name the estimate of the series is left for a run that goes on with this one.
    on_stored
        Called with a number of frames whenever some have been stored.

    Raises
    ------
    ParameterError
        (a ValueError) if the frames are not three-dimensional, real and of known shape, or the
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
    check_frames(series.frames)
    frames, dtype = _in_whole_frames(series.frames), destination.dtype
    n_frames, *frame_shape = (int(size) for size in frames.shape)
    check_columns(series.columns, n_frames)
    destination.check()
    frame_bytes = int(np.prod(frame_shape)) * dtype.itemsize
    resources = resources or Resources.planned(
        active_workers(), None, n_frames=n_frames, frame_bytes=frame_bytes, resume=destination.resume
    )
    estimate = series.provenance.estimate_json
    keepsakes = {} if keepsake_name is None or estimate is None else {keepsake_name: estimate}
    run = _choose_run(frames, destination, series.background, resources.workers, keepsakes)
    with (
        run.opened(),
        open_output(destination.output, overwrite=destination.overwrite, scratch=run.scratch) as group,
        track(n_frames, "writing", progress, frame_bytes=frame_bytes) as shown,
    ):
        if not isinstance(destination.output, h5py.Group):
            bound_metadata_cache(group.file, n_frames)
        writer = SeriesWriter(
            group,
            frame_shape=(frame_shape[0], frame_shape[1]),
            dtype=dtype,
            columns=_with_versions(series.columns, n_frames),
            n_frames=n_frames,
            storage=destination.storage,
            background=series.background,
            most_waiting_bytes=resources.plan.waiting_bytes,
            on_stored=both(shown.advance, on_stored or ignore_progress),
        )
        with writer:
            run.fill(writer)
        if writer.n_stored != n_frames:
            raise FileError(f"only {writer.n_stored} of {n_frames} frames were written.")
        if series.identifier is not None:
            group.attrs[IDENTIFIER] = series.identifier
        stored_as = {"dtype": str(dtype), **writer.encoding.dataset_options, **_clipped(writer, dtype)}
        group.attrs.update(series.provenance.attributes(stored_as))
    # When the output is whole: warnings may be errors.
    if writer.n_clipped:
        warn(_what_is_clipped(writer.n_clipped, frames.size, dtype), ClippingWarning)


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


def _choose_run(
    frames: da.Array,
    destination: Destination,
    background: StoredBackground,
    workers: Workers,
    keepsakes: Mapping[str, str],
) -> DirectRun | PartRun:
    """Let workers write parts if they are other processes, or if the run is to be resumed."""
    parts = destination.parts
    if parts is None:
        able = workers if isinstance(workers, ThisProcess) else threads_because("an open group belongs to its process")
        return DirectRun(frames, able)
    if leaves_parts(workers, destination.resume):
        return PartRun(parts, destination, frames, background, workers, keepsakes)
    return DirectRun(frames, workers, left=parts if destination.resume is False else None)


def check_frames(array: da.Array) -> None:
    """Refuse what is no lazy array of frames.

    Raises
    ------
    ParameterError, SeriesError
        (ValueErrors) unless it is a dask array, three-dimensional, real, of known shape and with pixels.
    """
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


def _in_whole_frames(array: da.Array) -> da.Array:
    """Cut an array into blocks of whole frames."""
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
