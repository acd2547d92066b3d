"""Parts of an output: encoded blocks in files of their own, which any process can write.

A part holds the chunks of some neighbouring frames as they will lie in the output, so that
whoever puts the output together copies bytes and inflates nothing. It appears under its name only
when it is whole, and carries a checksum and the fingerprint of its run. Nothing in it is ever unpickled.
"""

import json
import os
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import reduce
from io import BufferedReader
from itertools import accumulate, pairwise
from pathlib import Path
from socket import gethostname
from time import sleep
from typing import Any, Self
from uuid import uuid4

from isal import isal_zlib

from ..errors import FileError, FileMissingError, UnfinishedRunError
from .encoding import Chunk
from .filters import Bytes
from .lock import FileLock, is_locked

_MAGIC = b"flimage_dask part 1\n"
_SIZE_OF_HEADER = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_SUFFIX, _KEEPSAKE = ".part", ".json"
_NOTE, _LOCK = f"run{_KEEPSAKE}", "run.lock"
_TRIES_TO_REMOVE, _SECONDS_BETWEEN_TRIES = 10, 0.2


class DamagedPartError(ValueError):
    """A part is not what was written."""


@dataclass(frozen=True)
class Part:
    """The encoded frames of one block.

    Parameters
    ----------
    run
        Fingerprint of the run that it belongs to.
    first
        Position of its first frame.
    storage
        What `h5py.Group.create_dataset` is told of datasets with such chunks.
    chunks
        Those of all images of each frame, one frame after the other.
    n_clipped
        Pixels that an integer type could not hold.
    """

    run: str
    first: int
    storage: Mapping[str, Any]
    chunks: Sequence[Chunk]
    n_clipped: int = 0

    def to_bytes(self) -> list[Bytes]:
        """Return what is written to a file, piece by piece."""
        header = json.dumps(
            {
                "run": self.run,
                "first": self.first,
                "storage": dict(self.storage),
                "sizes": [chunk.nbytes for chunk in self.chunks],
                "skipped": [chunk.skipped for chunk in self.chunks],
                "n_clipped": self.n_clipped,
            }
        ).encode()
        content = [_MAGIC, _SIZE_OF_HEADER.pack(len(header)), header, *(chunk.content for chunk in self.chunks)]
        checksum = reduce(lambda sofar, piece: isal_zlib.crc32(piece, sofar), content, 0)
        return [*content, _CHECKSUM.pack(checksum)]

    @classmethod
    def from_bytes(cls, stored: Bytes) -> Self:
        """Read what was written to a file; its chunks are views of that.

        Raises
        ------
        DamagedPartError
            (a ValueError) unless every byte is as it was.
        """
        content, checksum = memoryview(stored)[: -_CHECKSUM.size], stored[-_CHECKSUM.size :]
        start = len(_MAGIC) + _SIZE_OF_HEADER.size
        if len(content) < start or stored[: len(_MAGIC)] != _MAGIC:
            raise DamagedPartError("is not a part of this version")
        if _CHECKSUM.pack(isal_zlib.crc32(content)) != checksum:
            raise DamagedPartError("has a wrong checksum")
        (n_header,) = _SIZE_OF_HEADER.unpack(content[len(_MAGIC) : start])
        try:
            header = json.loads(bytes(content[start : start + n_header]))
            ends = accumulate(header["sizes"], initial=start + n_header)
            chunks = [
                Chunk(content[begin:end], skipped)
                for (begin, end), skipped in zip(pairwise(ends), header["skipped"], strict=True)
            ]
            return cls(header["run"], header["first"], header["storage"], chunks, int(header["n_clipped"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedPartError("has a header that cannot be read") from error


class ReusedMemory:
    """Memory for what is read from one file after another: fresh pages cost as much time as reading does."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def filled_from(self, file: BufferedReader) -> memoryview:
        """Read a whole file."""
        n_bytes = os.fstat(file.fileno()).st_size
        if n_bytes > len(self._bytes):
            self._bytes = bytearray(n_bytes)
        view = memoryview(self._bytes)[:n_bytes]
        return view[: file.readinto(view)]


@dataclass(frozen=True)
class PartFolder:
    """The folder beside an output in which its parts lie until it is whole.

    Parameters
    ----------
    path
        The folder.
    """

    path: Path

    @classmethod
    def of(cls, target: Path) -> Self:
        """Return the folder that belongs to an output."""
        target = target.resolve()
        return cls(target.with_name(f".{target.name}.parts"))

    def exists(self) -> bool:
        """Tell whether it is there."""
        return self.path.is_dir()

    def is_of_a_run(self) -> bool:
        """Tell whether a run left it, rather than somebody else under such a name."""
        return any((self.path / name).is_file() for name in (_NOTE, _LOCK))

    def check_free(self, *, resume: bool | None) -> None:
        """Refuse to start where another run is at work, or left parts and it is not said what to do with them.

        Raises
        ------
        UnfinishedRunError
            (a FileExistsError) if another run is at work, or if there are parts and `resume` is None.
        """
        if self.is_in_use():
            raise self._in_use()
        n_finished = len(self.finished())
        if resume is None and (n_finished or self.note()):
            blocks = f"{n_finished} finished block{'' if n_finished == 1 else 's'}"
            raise UnfinishedRunError(
                f"an earlier run left {blocks} in '{self.path}': go on with resume=True, or start again with "
                f"resume=False."
            )

    def is_in_use(self) -> bool:
        """Tell whether a run is at work here."""
        return (self.path / _LOCK).exists() and is_locked(self.path / _LOCK)

    @contextmanager
    def taken(self) -> Iterator[FileLock]:
        """Keep other runs out of the folder, which is made if need be.

        Raises
        ------
        UnfinishedRunError
            (a FileExistsError) if one is at work there.
        """
        self._make()
        (self.path / _LOCK).touch()
        lock = FileLock(self.path / _LOCK)
        if not lock.take():
            raise self._in_use()
        try:
            yield lock
        finally:
            lock.release()

    def create(self, note: Mapping[str, Any], keepsakes: Mapping[str, str]) -> None:
        """Make the folder, with a note about the run and texts for the run that goes on with it, by name."""
        self._make()
        for name, text in keepsakes.items():
            self._publish(f"{name}{_KEEPSAKE}", [text.encode()])
        self.write_note(note)

    def keepsake(self, name: str) -> str | None:
        """Return a text that an earlier run left under a name, if it did."""
        try:
            return (self.path / f"{name}{_KEEPSAKE}").read_text()
        except (OSError, UnicodeDecodeError):
            return None

    def write_note(self, note: Mapping[str, Any]) -> None:
        """Replace the note about the run."""
        self._publish(_NOTE, [json.dumps(note, indent=2).encode()])

    def note(self) -> dict[str, Any]:
        """Return the note about the run; an empty one if it cannot be read."""
        try:
            found = json.loads((self.path / _NOTE).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, part: Part) -> None:
        """Write a part.

        A block that is done twice gives the same part under the same name.

        Raises
        ------
        FileError
            (an OSError) if it cannot be written.
        """
        self._publish(_name(part.first), part.to_bytes())

    def read(self, first: int, memory: ReusedMemory) -> Part:
        """Read a part, which is valid until the next one is read into the same memory.

        Raises
        ------
        DamagedPartError
            (a ValueError) if it is missing or not what was written.
        FileMissingError
            (a FileNotFoundError) if the whole folder is gone.
        """
        try:
            with open(self.path / _name(first), "rb") as file:
                return Part.from_bytes(memory.filled_from(file))
        except FileNotFoundError as error:
            if not self.exists():
                raise self._gone() from error
            raise DamagedPartError("is missing") from error
        except OSError as error:
            raise FileError(f"the part '{self.path / _name(first)}' cannot be read: {error.strerror}.") from error

    def finished(self) -> list[int]:
        """Return the positions of the first frames of all parts that are there, in ascending order."""
        stems = [file.stem for file in self.path.glob(f"*{_SUFFIX}")]
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def discard(self, first: int) -> None:
        """Remove one part."""
        (self.path / _name(first)).unlink(missing_ok=True)

    def discard_unfinished(self) -> None:
        """Remove everything but whole parts and what was noted."""
        self._discard_all_but(_SUFFIX, _KEEPSAKE)

    def discard_all(self) -> None:
        """Remove everything that an earlier run left."""
        self._discard_all_but()

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        for _ in range(_TRIES_TO_REMOVE):
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.exists():
                return
            # A worker that has not heard yet that its block is not wanted may just have left it there.
            sleep(_SECONDS_BETWEEN_TRIES)
        raise FileError(f"the folder '{self.path}' cannot be removed: remove it by hand.")

    def size(self) -> int:
        """Return the number of bytes of all files in it."""
        return sum(map(_size_of, self.path.iterdir()))

    def _in_use(self) -> UnfinishedRunError:
        """Make the error for a folder in which another run is at work."""
        return UnfinishedRunError(
            f"another run is writing the same output, with its blocks in '{self.path}': wait until it ends, or write "
            f"to another file."
        )

    def _make(self) -> None:
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise FileError(f"the folder '{self.path}' cannot be made: {error.strerror}.") from error

    def _discard_all_but(self, *suffixes: str) -> None:
        for file in self.path.iterdir():
            if file.name != _LOCK and file.suffix not in suffixes:
                file.unlink(missing_ok=True)

    def _publish(self, name: str, content: Sequence[Bytes]) -> None:
        """Bring a file to the disk, then give it its name."""
        temporary = self.path / f"{name}.{uuid4().hex[:8]}.tmp"
        try:
            with open(temporary, "xb") as file:
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / name)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            if not self.exists():
                raise self._gone() from error
            raise FileError(
                f"the block '{name}' cannot be written to '{self.path}': {error.strerror}. The finished ones are kept: "
                f"mend it and go on with resume=True."
            ) from error

    def _gone(self) -> FileMissingError:
        return FileMissingError(
            f"the folder '{self.path}' of finished blocks is not there on '{gethostname()}': it was removed during the "
            f"run, or that machine does not share it."
        )


def _size_of(file: Path) -> int:
    """Return the size of a file of a run that may go on, and rename it meanwhile."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _name(first: int) -> str:
    return f"{first:09d}{_SUFFIX}"
