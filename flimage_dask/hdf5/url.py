"""URLs of files: what fsspec finds behind them, what to call them, and why they cannot be read.

A URL may hold keys, in its user, password or query. They show up in no message.
"""

import re
from typing import Any, TypeAlias

from fsspec.core import OpenFile, url_to_fs

from ..errors import FileError, FileMissingError, FilePermissionError, ParameterError

#: A URL that fsspec can open, or what `fsspec.open` returns, which has options of its own.
Url: TypeAlias = str | OpenFile

_URL = re.compile(r"[A-Za-z][\w+.-]+(://|::)")
_URL_IN_TEXT = re.compile(r"[A-Za-z][\w+.-]+://[^\s'\"),]+")


def is_url(h5file: Any) -> bool:
    """Tell whether something is a URL and not the name of a local file."""
    if isinstance(h5file, OpenFile):
        return True
    return isinstance(h5file, str) and "://" in h5file and _URL.match(h5file) is not None


def public_name(url: Url) -> str:
    """Return a URL without user, password and query.

    Examples
    --------
    >>> public_name("zip://a.h5::https://me:secret@example.org/a.zip?signature=1f3")
    'zip://a.h5::https://example.org/a.zip'
    """
    text = url.full_name if isinstance(url, OpenFile) else url
    return "::".join(_without_keys(link) for link in text.split("::"))


def locate(url: Url) -> tuple[Any, str]:
    """Return the file system of a URL, and the path on it.

    Raises
    ------
    ImportError
        If the package for this kind of URL is not installed (the extra ``remote``).
    ParameterError
        (a ValueError) if no such kind of URL is known.
    FileError
        (an OSError) if the archive that holds the file cannot be read.
    """
    name = public_name(url)
    if isinstance(url, OpenFile):
        if url.compression is not None:
            raise ParameterError(f"'{name}' cannot be read in ranges while it is decompressed: leave compression= out.")
        return url.fs, url.path
    try:
        filesystem, path = url_to_fs(url)
    except ImportError as error:
        raise ImportError(
            f"'{name}' needs a package that is not installed: {_shown(error)}. For http and s3: "
            f'pip install "flimage_dask[remote]"'
        ) from error
    except ValueError as error:
        raise ParameterError(f"'{name}' is not a URL that can be opened: {_shown(error)}.") from error
    # Each file system has errors of its own.
    except Exception as error:
        raise url_error(name, error) from error
    return filesystem, path


def url_error(name: str, error: Exception) -> FileError:
    """Find out why a file behind a URL cannot be read."""
    reason, status = _reason(error)
    if isinstance(error, PermissionError) or status in (401, 403):
        return FilePermissionError(
            f"'{name}' may not be read ({_shown(reason)}): put the credentials into fsspec's configuration, or give "
            f"h5file=fsspec.open(url, …)."
        )
    if status in (404, 410) or (isinstance(error, FileNotFoundError) and error.__cause__ is None):
        return FileMissingError(f"'{name}' does not exist.")
    return FileError(f"'{name}' cannot be read: {_shown(reason)}. Check address, connection and credentials.")


def may_pass(error: Exception) -> bool:
    """Tell whether a request that failed may succeed later: the connection broke, or the server has a problem."""
    reason, status = _reason(error)
    if status is not None:
        return bool(status == 429 or status >= 500)
    # What aiohttp raises when a connection breaks is no OSError.
    is_of_network = isinstance(reason, OSError) or type(reason).__module__.startswith("aiohttp.")
    return is_of_network and not isinstance(reason, FileNotFoundError | PermissionError)


def _reason(error: Exception) -> tuple[BaseException, int | None]:
    """Return what lies behind an error of fsspec, and the status that a web server answered."""
    # Whatever the answer of a web server, fsspec calls the file missing, because of that answer.
    reason = error.__cause__ or error
    return reason, getattr(reason, "status", None)


def _without_keys(link: str) -> str:
    protocol, separator, rest = link.partition("://")
    host, slash, path = re.split("[?#]", rest)[0].partition("/")
    return f"{protocol}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _shown(error: BaseException) -> str:
    """Write an error without the keys that a URL in it may hold."""
    text = _URL_IN_TEXT.sub(lambda url: public_name(url[0]), str(error))
    return text.rstrip(".") or type(error).__name__
