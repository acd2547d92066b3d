"""URLs: what is one, what it is called, and what its errors say."""

from pathlib import Path

import fsspec
import pytest

from flimage_dask.errors import FileError, FileMissingError, FilePermissionError, ParameterError
from flimage_dask.hdf5.url import is_url, locate, may_pass, public_name, url_error


@pytest.mark.parametrize(
    "url", ["s3://b/a.h5", "https://example.org/a.h5", "zip://a.h5::/b.zip", "simplecache::s3://b/a.h5"]
)
def test_what_fsspec_opens_is_a_url(url):
    assert is_url(url)


@pytest.mark.parametrize("path", ["a.h5", "/data/a.h5", "C:/data/a.h5", "a::b.h5", "a:b", "", Path("a.h5"), None, 5])
def test_a_path_is_no_url(path):
    assert not is_url(path)


def test_an_open_file_of_fsspec_is_a_url(tmp_path):
    (tmp_path / "a.h5").touch()
    assert is_url(fsspec.open(f"{tmp_path}/a.h5"))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/a.h5", "https://example.org/a.h5"),
        ("https://me:secret@example.org:8080/a.h5?key=secret#secret", "https://example.org:8080/a.h5"),
        ("https://example.org?key=secret", "https://example.org"),
        ("simplecache::s3://key:secret@bucket/a.h5", "simplecache::s3://bucket/a.h5"),
        ("zip://a.h5::ftp://me:secret@example.org/b.zip", "zip://a.h5::ftp://example.org/b.zip"),
    ],
)
def test_a_name_holds_no_keys(url, name):
    assert public_name(url) == name


def test_a_protocol_that_nobody_knows_is_named():
    with pytest.raises(ParameterError, match="'nowhere://a' is not a URL that can be opened: Protocol not known"):
        locate("nowhere://a")


def test_a_protocol_without_its_package_names_the_extra(monkeypatch):
    def fail(*args, **kwargs):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("flimage_dask.hdf5.url.url_to_fs", fail)
    with pytest.raises(ImportError, match=r"'s3://b/a.h5' .*Install s3fs.* pip install \"flimage_dask\[remote\]\""):
        locate("s3://b/a.h5")


def test_a_file_that_fsspec_would_decompress_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="compression="):
        locate(fsspec.open(f"{tmp_path}/a.h5.gz", compression="gzip"))


class AnsweredError(Exception):
    """An error with the status that a web server answered, as aiohttp's."""

    def __init__(self, status):
        super().__init__(f"{status}, url='https://me:secret@example.org/a.h5?key=secret'")
        self.status = status


def wrapped(cause):
    """Return an error as fsspec raises it, with a cause."""
    error = FileNotFoundError("https://example.org/a.h5?key=secret")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError("a"), FileMissingError),
        (wrapped(AnsweredError(404)), FileMissingError),
        (PermissionError("Forbidden"), FilePermissionError),
        (wrapped(AnsweredError(401)), FilePermissionError),
        (wrapped(AnsweredError(500)), FileError),
        (wrapped(ConnectionRefusedError("no")), FileError),
        (RuntimeError(), FileError),
    ],
)
def test_errors_have_the_class_of_their_reason_and_no_keys(error, kind):
    found = url_error("name", error)

    assert type(found) is kind
    assert "'name'" in str(found)
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (wrapped(AnsweredError(404)), False),
        (wrapped(AnsweredError(503)), True),
        (AnsweredError(429), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (PermissionError(), False),
        (FileNotFoundError(), False),
        (ValueError(), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error, passes):
    assert may_pass(error) is passes
