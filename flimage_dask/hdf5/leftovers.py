"""What runs that did not end left on the disk: folders of finished blocks, and outputs that are not whole."""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileError, FileMissingError
from .lock import is_locked
from .output import PARTIAL
from .parts import PartFolder

_HDF5 = b"\x89HDF\r\n\x1a\n"
_PARTS = re.compile(r"\.(?P<target>.+)\.parts")
_PARTIAL = re.compile(rf"\.(?P<target>.+)\.[0-9a-f]{{8}}{re.escape(PARTIAL)}")


@dataclass(frozen=True)
class Leftover:
    """Something that a run left.

    Parameters
    ----------
    path
        Where it is.
    target
        The output that it was to become.
    n_blocks
        Number of finished blocks, with which the same call can go on; None for an output that is not whole,
        with which nobody can.
    n_bytes
        Its size.
    age
        Time since it last changed [s].
    is_in_use
        Whether the run still goes on, as far as locks tell.
    """

    path: Path
    target: Path
    n_blocks: int | None
    n_bytes: int
    age: float
    is_in_use: bool

    def remove(self) -> None:
        """Remove it, unless the run still goes on."""
        if self.is_in_use:
            return
        if self.n_blocks is None:
            self.path.unlink(missing_ok=True)
        else:
            PartFolder(self.path).remove()


def find_leftovers(folder: Path) -> list[Leftover]:
    """Find what runs that did not end, or that still go on, left in a folder.

    Raises
    ------
    FileMissingError
        (a FileNotFoundError) if there is no such folder.
    """
    if not folder.is_dir():
        raise FileMissingError(
            f"'{folder}' is not a folder." if folder.exists() else f"the folder '{folder}' does not exist."
        )
    try:
        return sorted(_leftovers(folder), key=lambda leftover: leftover.path)
    except OSError as error:
        raise FileError(f"the folder '{folder}' cannot be read: {error.strerror}.") from error


def _leftovers(folder: Path) -> Iterator[Leftover]:
    for path in folder.iterdir():
        # A run that ends meanwhile takes away what it leaves; what may not be opened is of another user.
        with suppress(FileNotFoundError, PermissionError):
            yield from _leftover(folder, path)


def _leftover(folder: Path, path: Path) -> Iterator[Leftover]:
    """Give what a file or a folder is, if it is something left over."""
    if (found := _PARTS.fullmatch(path.name)) and (parts := PartFolder(path)).is_of_a_run():
        n_blocks = len(parts.finished())
        yield Leftover(path, folder / found["target"], n_blocks, parts.size(), _age(path), parts.is_in_use())
    elif (found := _PARTIAL.fullmatch(path.name)) and path.is_file() and _may_be_an_output(path):
        yield Leftover(path, folder / found["target"], None, path.stat().st_size, _age(path), is_locked(path))


def _may_be_an_output(path: Path) -> bool:
    """Tell whether a file begins as those of HDF5 do, or holds nothing yet."""
    with open(path, "rb") as file:
        return file.read(len(_HDF5)) in (b"", _HDF5)


def _age(path: Path) -> float:
    return max(0.0, time.time() - path.stat().st_mtime)
