"""A run that leaves its finished blocks on the disk, so that another one can go on with them.

Workers write encoded blocks as parts beside the output; this process copies their bytes into the output, in the
order of the frames and while the workers go on.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from numpy.typing import NDArray

from .._version import __version__
from ..errors import ClusterError, FileChangedError, UnfinishedRunError
from ..hdf5.backgrounds import NO_BACKGROUND, StoredBackground, choose_encoding, encode_block
from ..hdf5.encoding import ChunkEncoding, HDF5Encoding, Storage
from ..hdf5.lock import FileLock
from ..hdf5.parts import DamagedPartError, Part, PartFolder
from ..hdf5.writer import SeriesWriter, check_length
from ..plain_json import through_json
from .assembly import Assembly
from .destination import Destination
from .scheduling import Workers


@dataclass(frozen=True, eq=False)
class PartRun:
    """A run whose workers leave blocks as parts, from which this process fills the output.

    Parameters
    ----------
    folder
        Where parts are written.
    destination
        The output, and how its frames are stored.
    frames
        Lazy frames (frame, y, x) in blocks of whole frames.
    background
        What is stored beside each frame.
    workers
        Who writes parts.
    keepsakes
        What the run that goes on with this one needs not to find out again, by name.
    """

    folder: PartFolder
    destination: Destination
    frames: da.Array
    background: StoredBackground
    workers: Workers
    keepsakes: Mapping[str, str]

    @property
    def scratch(self) -> Path:
        """Where the output lies until it is whole."""
        return self.folder.path

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep the folder while the output is made, and remove it once that is whole.

        Raises
        ------
        UnfinishedRunError
            (a FileExistsError) if parts of another run lie there.
        """
        self.folder.check_free(resume=self.destination.resume)
        with self.folder.taken() as lock:
            goes_on = bool(self.destination.resume and self.folder.note())
            if goes_on:
                # Apart from what removes a folder that nobody can use: the blocks of another run are of use.
                self._check_same()
            try:
                self._start(goes_on)
                self.workers.check_folder(self.folder.path)
                yield
            except BaseException as error:
                self._leave(error, lock)
                raise
            self._remove_folder(lock)

    def _start(self, goes_on: bool) -> None:
        """Leave in the folder what is of this run, and note what that is."""
        if goes_on:
            self.folder.discard_unfinished()
            return
        self.folder.discard_all()
        self.folder.create(self._identity, self.keepsakes)

    def fill(self, writer: SeriesWriter) -> None:
        """Let workers write parts, and store them as they come."""
        frames = self.workers.with_shared_values(self.frames)
        maker = self._maker(frames)
        writer.set_encoding(maker.encoding, self.folder.note()["share"])
        finished = self._finished()
        missing = [number for number in range(frames.numblocks[0]) if number not in finished]

        def make(numbers: Sequence[int]) -> Iterator[int]:
            for number, _ in self.workers.run(frames, numbers, _write_part, maker):
                yield number

        with Assembly(self.folder, self._starts, partial(self._check, maker), make, writer) as assembly:
            assembly.expect(finished)
            for number in make(missing):
                assembly.add(number)
            assembly.finish()

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """What must be the same for two runs to make the same parts."""
        storage = self.destination.storage
        return {
            "version": __version__,
            "frames": self.frames.name,
            "blocks": _in_short(self.frames.chunks[0]),
            "dtype": self.destination.dtype.str,
            "background": None if self.background is NO_BACKGROUND else tokenize(self.background),
            "storage": through_json({"asked": storage.shuffle, **storage.encoding(False).dataset_options}),
        }

    @cached_property
    def _fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self._identity, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *np.cumsum(self.frames.chunks[0]).tolist()][:-1]

    def _check_same(self) -> None:
        note = self.folder.note()
        different = [key for key, value in self._identity.items() if note.get(key) != value]
        if different:
            raise UnfinishedRunError(
                f"the blocks in '{self.folder.path}' are of another run: {' and '.join(different)} differ. Start again "
                f"with resume=False, or repeat what was run before."
            )

    def _maker(self, frames: da.Array) -> "PartMaker":
        """Choose how frames are stored by the first block, or as it was chosen before."""
        note, storage, dtype = self.folder.note(), self.destination.storage, self.destination.dtype
        if "shuffle" not in note:
            ((_, (shuffle, share)),) = self.workers.run(frames, [0], _choose, storage, dtype, self.background)
            note |= {"shuffle": shuffle, "share": share}
            self.folder.write_note(note)
        return PartMaker(self.folder, self._fingerprint, dtype, storage.encoding(note["shuffle"]), self.background)

    def _finished(self) -> set[int]:
        """Find the numbers of the blocks whose parts are there."""
        number_of = {first: number for number, first in enumerate(self._starts)}
        return {number_of[first] for first in self.folder.finished() if first in number_of}

    def _check(self, maker: "PartMaker", number: int, part: Part) -> None:
        """Refuse a part that is not the one of this block, or has more or fewer frames than it should have."""
        first, n_frames, n_chunks = self._starts[number], self.frames.chunks[0][number], len(part.chunks)
        n_images = 1 + len(self.background.datasets)
        is_of_this_block = (part.run, part.first, part.storage) == (self._fingerprint, first, maker.storage)
        if is_of_this_block and n_chunks == n_frames * n_images:
            return
        # A block without frames has its part under the name of the one that begins there.
        if not is_of_this_block or 0 in (n_frames, n_chunks):
            raise DamagedPartError("belongs to something else")
        check_length(first, n_chunks // n_images, n_frames)

    def _leave(self, error: BaseException, lock: FileLock) -> None:
        """Say how to go on with what is there; remove what nobody can use."""
        n_finished = len(self.folder.finished())
        if n_finished == 0 or isinstance(error, FileChangedError):
            self._remove_folder(lock)
            return
        error.add_note(
            f"{n_finished} of {self.frames.numblocks[0]} blocks are done: go on with resume=True, or start again with "
            f"resume=False."
        )

    def _remove_folder(self, lock: FileLock) -> None:
        # Not every system removes what is open.
        lock.release()
        self.folder.remove()


@dataclass(frozen=True)
class PartMaker:
    """What a worker needs to know to write the part of a block.

    Parameters
    ----------
    folder
        Where to.
    run
        Fingerprint of the run.
    dtype
        Type of the stored frames.
    encoding
        How they are stored.
    background
        What is stored beside them.
    version
        Of this package on the client: workers that join late were not there when versions were checked.
    """

    folder: PartFolder
    run: str
    dtype: np.dtype[Any]
    encoding: ChunkEncoding | HDF5Encoding
    background: StoredBackground
    version: str = __version__

    def write(self, block: NDArray[Any], first: int) -> None:
        """Write the part of a block."""
        if self.version != __version__:
            raise ClusterError(f"a worker has flimage_dask {__version__}; the client has {self.version}: install one.")
        chunks, n_clipped = encode_block(block, self.dtype, self.background, self.encoding.encode)
        self.folder.write(Part(self.run, first, self.storage, chunks, n_clipped))

    @property
    def storage(self) -> dict[str, Any]:
        """What `h5py.Group.create_dataset` is told, as it is read from a part."""
        return dict(through_json(self.encoding.dataset_options))


def _write_part(block: NDArray[Any], first: int, maker: PartMaker) -> None:
    maker.write(block, first)


def _choose(
    block: NDArray[Any], first: int, storage: Storage, dtype: np.dtype[Any], background: StoredBackground
) -> tuple[bool, float]:
    encoding, share = choose_encoding(storage, block, dtype, background)
    return bool(encoding.dataset_options["shuffle"]), share


def _in_short(sizes: Sequence[int]) -> list[list[int]]:
    """Write equal sizes in a row as one: [size, how many]."""
    runs: list[list[int]] = []
    for size in sizes:
        if runs and runs[-1][0] == size:
            runs[-1][1] += 1
        else:
            runs.append([int(size), 1])
    return runs
