"""What can go wrong, as types that a caller can catch.

Each derives from the built-in exceptions that flimage raises in the same place,
so that ``except KeyError`` or ``except ValueError`` of an existing script still works.
"""


class FlimageError(Exception):
    """Any error that this package raises on purpose."""

    def __str__(self) -> str:
        # KeyError would show the repr of its message, OSError would look for an errno.
        return str(self.args[0]) if self.args else ""


class ParameterError(FlimageError, ValueError):
    """An argument has a value that cannot be used."""


class FrameNotFoundError(FlimageError, IndexError, KeyError, ValueError):
    """A series holds no frame with the given index or identifier."""


class MetaKeyError(FlimageError, KeyError):
    """A metadata key is outside the vocabulary of the format."""


class MetaDataMissingError(FlimageError, KeyError):
    """A valid metadata key has no value in this image."""


class SeriesError(FlimageError, ValueError):
    """A series is not in the form that the operation needs."""


class FitError(FlimageError, ValueError):
    """A decay cannot be fitted to these data."""


class FileError(FlimageError, OSError):
    """A file cannot be opened, read or written as what it was taken for."""


class FileMissingError(FileError, FileNotFoundError):
    """A file or its folder does not exist."""


class FilePermissionError(FileError, PermissionError):
    """A file may not be opened as asked."""


class FileIsFolderError(FileError, IsADirectoryError):
    """A folder was given where a file is needed."""


class FileLockedError(FileError, BlockingIOError):
    """A file is in use elsewhere."""


class FileReadOnlyError(FileError, KeyError, ValueError):
    """A file that is open for reading only would be changed."""


class FileClosedError(FileError, KeyError, ValueError):
    """The file of an image or a series was closed."""


class FrameDataError(FileError):
    """The stored bytes of a frame are damaged or cannot be read."""


class ImageMissingError(FrameDataError, KeyError):
    """An image was created without its pixels."""


class FileChangedError(FileError):
    """A file changed after its frames were indexed."""


class OutputExistsError(FileError, FileExistsError):
    """An output would replace something that is already there."""


class UnfinishedRunError(OutputExistsError):
    """An earlier run of the same output was not finished, and its blocks are still there."""


class ClusterError(FlimageError, OSError):
    """The workers of a cluster cannot do the work, or were lost."""
