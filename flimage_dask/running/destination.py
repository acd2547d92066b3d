"""Where a series is written, and how its frames are stored there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike

from ..errors import ParameterError
from ..hdf5.encoding import Storage
from ..hdf5.output import Output, check_output
from ..hdf5.parts import PartFolder

#: How frames are stored unless somebody says otherwise, as in flimage.
FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class Destination:
    """An output that does not exist yet.

    Parameters
    ----------
    output
        A path, where the series appears when it is whole, or an empty open group.
    source
        The file that its frames are read from, which must not be the output.
    storage, dtype
        How frames are stored, and as what type. Integers are rounded and clipped.
    overwrite
        Whether a file that exists is replaced.
    resume
        What to do with the finished blocks of an earlier run: go on with them (True), remove them
        (False), or refuse to start (None). The workers of a cluster leave such blocks, and so do
        threads that are to resume.
    """

    output: Output
    source: Path | None
    storage: Storage
    dtype: np.dtype[Any] = FLOAT32
    overwrite: bool = False
    resume: bool | None = None

    @property
    def parts(self) -> PartFolder | None:
        """Where runs leave finished blocks; None for a group, which belongs to its process."""
        return None if isinstance(self.output, h5py.Group) else PartFolder.of(Path(self.output))

    def check(self) -> None:
        """Refuse an output that cannot be written, or that an earlier run left unfinished, before any work is done.

        Raises
        ------
        FileError
            (an OSError) see `hdf5.output.check_output`.
        UnfinishedRunError
            (a FileExistsError) see `PartFolder.check_free`.
        """
        check_output(self.output, self.source, overwrite=self.overwrite)
        if self.parts is not None:
            self.parts.check_free(resume=self.resume)

    def keepsake(self, name: str) -> str | None:
        """Return what the run that is resumed left under a name, if it did."""
        return self.parts.keepsake(name) if self.resume and self.parts is not None else None


def stored_type(dtype: DTypeLike) -> np.dtype[Any]:
    """Return a type in which frames can be stored.

    Raises
    ------
    ParameterError
        (a ValueError) if it is not a type of real numbers.
    """
    try:
        stored = np.dtype(dtype)
    except TypeError as error:
        raise ParameterError(f"dtype={dtype!r} is not a numeric type: {error}.") from error
    if stored.kind not in "fiu":
        raise ParameterError(f"dtype={stored} is not a type of real numbers: give 'float32', 'int16' or the like.")
    return stored
