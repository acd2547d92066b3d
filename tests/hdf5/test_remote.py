"""Files behind a URL: read in ranges, told apart from their later states, refused where HDF5 would go astray."""

import gc
import io
import os
import pickle
import threading
import zipfile

import fsspec
import h5py
import numpy as np
import pytest
from dask.base import tokenize

from flimage_dask.errors import (
    FileChangedError,
    FileError,
    FileMissingError,
    FilePermissionError,
    FrameDataError,
    ParameterError,
)
from flimage_dask.hdf5 import remote
from flimage_dask.hdf5.files import GroupHolder
from flimage_dask.hdf5.image_layout import NO_RANGE
from flimage_dask.hdf5.layout import RAW
from flimage_dask.hdf5.reader import ByteRangeReader, OpenFileReader, open_reader
from flimage_dask.hdf5.remote import RemoteFile, RemoteHandle, remote_file_of

from .test_reader import LAYOUTS, assert_reads_as_h5py, expected_images, index_all, read, series_file


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Let requests that fail be repeated at once."""
    monkeypatch.setattr(remote, "_PAUSES_S", (0.0, 0.0))


@pytest.fixture
def content():
    """Return the bytes of a file whose byte k is k modulo 251."""
    return bytes(k % 251 for k in range(200_000))


# --- Ranges of bytes.


def test_ranges_come_as_they_are_in_the_file(web, content):
    web.files["a"] = content
    file = RemoteFile.at(web.url + "a")

    assert list(file.read([(5, 9), (100_000, 150_000), (7, 7)])) == [content[5:9], content[100_000:150_000], b""]
    assert "bytes=5-8" in web.ranges


def test_ranges_end_where_the_file_ends(web, content):
    web.files["a"] = content
    file = RemoteFile.at(web.url + "a")

    assert list(file.read([(199_990, 300_000), (250_000, 260_000)])) == [content[199_990:], b""]


def test_several_ranges_are_fetched_at_once(web, content):
    web.files["a"], web.delay_s = content, 0.05
    file = RemoteFile.at(web.url + "a")
    list(file.read([(1000 * k, 1000 * k + 5) for k in range(4)]))

    assert web.most_at_once > 1


def test_a_server_that_sends_the_whole_file_instead_of_a_range_is_refused(web, content):
    web.files["a"], web.answers_ranges = content, False
    file = RemoteFile.at(web.url + "a")

    with pytest.raises(FileError, match=r"sent 200000 bytes for the 4 from byte 5 on.*ranges"):
        list(file.read([(5, 9)]))


def test_a_request_that_fails_once_is_repeated(web, content):
    web.files["a"] = content
    file = RemoteFile.at(web.url + "a")
    web.failures = [503, 429]

    assert list(file.read([(5, 9)])) == [content[5:9]]


def test_a_request_that_keeps_failing_names_the_url_and_the_answer(web, content):
    web.files["a"] = content
    file = RemoteFile.at(web.url + "a")
    web.failures = [503] * 100

    with pytest.raises(FileError, match=f"'{web.url}a' cannot be read: 503"):
        list(file.read([(5, 9)]))


# --- The state of a file.


def test_a_file_that_changed_is_refused(web, content):
    web.files["a"] = content
    file = RemoteFile.at(web.url + "a")
    web.files["a"] = content[::-1]

    with pytest.raises(FileChangedError, match=f"'{web.url}a' changed after its frames were indexed"):
        list(file.read([(5, 9)]))


def test_a_file_that_became_shorter_is_called_changed_and_not_damaged(web, content):
    web.files["a"], web.sends_etags = content, False
    file = RemoteFile.at(web.url + "a")
    web.files["a"] = content[:1000]

    with pytest.raises(FileChangedError):
        list(file.read([(900, 2000), (5000, 6000)]))


def test_a_file_that_changes_while_it_is_read_is_refused(web, content, monkeypatch):
    web.files["a"] = content
    file = RemoteFile.at(web.url + "a")
    fetch = RemoteFile.fetch

    def fetch_and_change(self, ranges):
        fetched = fetch(self, ranges)
        web.files["a"] = content[::-1]
        return fetched

    monkeypatch.setattr(RemoteFile, "fetch", fetch_and_change)
    with pytest.raises(FileChangedError):
        list(file.read([(5, 9)]))


def test_a_file_that_was_removed_is_missing(web, content):
    web.files["a"] = content
    file = RemoteFile.at(web.url + "a")
    del web.files["a"]

    with pytest.raises(FileMissingError, match=f"'{web.url}a' does not exist"):
        list(file.read([(5, 9)]))


def test_tokens_follow_the_content_and_survive_pickling(web, content):
    web.files["a"] = content
    file = RemoteFile.at(web.url + "a")
    assert tokenize(RemoteFile.at(web.url + "a")) == tokenize(file) == tokenize(pickle.loads(pickle.dumps(file)))
    web.files["a"] = content[::-1]
    assert tokenize(RemoteFile.at(web.url + "a")) != tokenize(file)


def test_a_file_shows_no_keys(web, content):
    web.files["a"] = content
    file = RemoteFile.at(f"{web.url}a?key=secret")

    assert file.name == web.url + "a"
    assert "secret" not in repr(file)
    assert web.requests[0][1] == "a"


# --- Files that cannot be found.


def test_a_missing_file_is_named(web):
    with pytest.raises(FileMissingError, match=f"'{web.url}a' does not exist"):
        RemoteFile.at(web.url + "a")


@pytest.mark.parametrize("status", [401, 403])
def test_a_file_that_may_not_be_read_says_how_to_give_credentials(web, status):
    web.files["a"], web.failures = b"", [status] * 10

    with pytest.raises(FilePermissionError, match=rf"may not be read .*{status}.*fsspec\.open"):
        RemoteFile.at(web.url + "a")


def test_a_server_that_is_not_there_is_named(web):
    with pytest.raises(FileError, match=r"'http://127\.0\.0\.1:1/a' cannot be read: Cannot connect"):
        RemoteFile.at("http://me:secret@127.0.0.1:1/a")


def test_a_folder_is_called_one(in_memory):
    in_memory(b"", "folder/a.h5")
    with pytest.raises(FileError, match="is a folder"):
        RemoteFile.at("memory://folder")


# --- The file object for HDF5.


@pytest.mark.parametrize("length", [1, 500, 70_000, 140_000])
def test_a_handle_reads_like_a_file(in_memory, content, length):
    handle = RemoteHandle(RemoteFile.at(in_memory(content)))
    for start in (0, 65_530, 131_072, 199_999):
        handle.seek(start)
        assert handle.read(length) == content[start : start + length]
        assert handle.tell() == min(start + length, len(content))
    assert handle.seek(-5, os.SEEK_END) == len(content) - 5
    assert handle.seek(2, os.SEEK_CUR) == len(content) - 3


def test_a_handle_fetches_what_it_has_read_once(web, content):
    web.files["a"] = content
    handle = RemoteHandle(RemoteFile.at(web.url + "a"))
    for start in (10, 300, 65_000, 20):
        handle.seek(start)
        handle.read(100)

    assert web.ranges == ["bytes=0-65535"]


def test_a_handle_keeps_a_bounded_number_of_blocks(in_memory, content, monkeypatch):
    monkeypatch.setattr(remote, "_MOST_BLOCKS", 2)
    handle = RemoteHandle(RemoteFile.at(in_memory(content)))
    for start in (0, 70_000, 140_000):
        handle.seek(start)
        assert handle.read(5) == content[start : start + 5]

    assert list(handle._blocks) == [1, 2]


def test_no_garbage_is_collected_while_h5py_waits_for_a_block(in_memory, content, monkeypatch):
    states = []
    monkeypatch.setattr(RemoteFile, "fetch", lambda self, ranges: states.append(gc.isenabled()) or [content[:65536]])
    handle = RemoteHandle(RemoteFile.at(in_memory(content)))
    handle.read(10)

    assert states == [False]
    assert gc.isenabled()


@pytest.mark.parametrize(("content", "reason"), [(b"no HDF5" * 100, "is not an HDF5 file"), (b"", "not an HDF5 file")])
def test_a_file_that_is_not_hdf5_is_called_so(in_memory, content, reason):
    with pytest.raises(FileError, match=reason):
        RemoteFile.at(in_memory(content)).open()


def test_a_truncated_file_is_called_so(tmp_path, in_memory):
    whole = series_file(tmp_path / "a.h5").read_bytes()
    with pytest.raises(FileError, match=r"'memory://series.h5' is truncated"):
        RemoteFile.at(in_memory(whole[:-100])).open()


@pytest.mark.parametrize("mode", ["a", "r+", "w", "x"])
def test_a_url_can_only_be_read(in_memory, mode):
    with pytest.raises(ParameterError, match=r"'memory://series.h5' can only be read.*h5mode='r'"):
        GroupHolder(in_memory(b""), mode)


# --- Images.

ELSEWHERE = ["external_storage", "external_link", "virtual"]


def open_url(url):
    return GroupHolder(url, "r")


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ELSEWHERE])
def test_each_layout_is_read_from_a_url_as_h5py_reads_it(tmp_path, in_memory, layout):
    path = series_file(tmp_path / "a.h5", store=layout, dtype="int16")
    with h5py.File(path) as local, open_url(in_memory(path.read_bytes())) as opened:
        index = index_all(opened.h5)
        assert isinstance(open_reader(opened.h5), ByteRangeReader)
        assert index.frames.offsets.tolist() == index_all(local).frames.offsets.tolist()
        assert_reads_as_h5py(opened.h5)
        np.testing.assert_array_equal(read(open_reader(opened.h5), index), expected_images(local, np.int16))


@pytest.mark.parametrize("layout", ["external_storage", "virtual"])
def test_data_in_other_files_are_refused(tmp_path, in_memory, layout):
    path = series_file(tmp_path / "a.h5", store=layout)
    with open_url(in_memory(path.read_bytes())) as opened:
        reader, index = open_reader(opened.h5), index_all(opened.h5)
        assert (index.frames.offsets == NO_RANGE).all()
        with pytest.raises(FrameDataError, match=r"frame 0 of 'memory://series.h5' .*which a URL cannot reach"):
            read(reader, index)


def test_a_link_to_another_file_does_not_lead_into_this_one(tmp_path, in_memory):
    """HDF5 would open the file of the URL again and take what has the same name there."""
    path = series_file(tmp_path / "a.h5", store="external_link")
    with h5py.File(path, "a") as file:
        file["image"] = np.full((6, 8), 7.0, np.float32)
    with open_url(in_memory(path.read_bytes())) as opened, pytest.raises(FileError, match="which a URL cannot reach"):
        index_all(opened.h5)


def test_a_virtual_image_of_the_same_file_is_read(tmp_path, in_memory):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = np.arange(48.0).reshape(6, 8)
        layout = h5py.VirtualLayout((6, 8), "f8")
        layout[...] = h5py.VirtualSource(".", "image", (6, 8))
        file.create_virtual_dataset(f"fli_0/{RAW}", layout)
    with open_url(in_memory((tmp_path / "a.h5").read_bytes())) as opened:
        assert_reads_as_h5py(opened.h5)


def test_an_image_with_a_wrong_checksum_is_named_with_url_and_offset(tmp_path, in_memory):
    path = series_file(tmp_path / "a.h5")
    with h5py.File(path) as file:
        offset = int(index_all(file).frames.offsets[1])
    damaged = bytearray(path.read_bytes())
    damaged[offset + 30] ^= 1
    with open_url(in_memory(bytes(damaged))) as opened:
        reader, index = open_reader(opened.h5), index_all(opened.h5)
        with pytest.raises(FrameDataError, match=rf"frame 1 of 'memory://series.h5' .*at byte {offset}.* checksum"):
            read(reader, index)


def test_a_file_object_of_the_user_is_read_through_its_handle(tmp_path):
    file_object = io.BytesIO(series_file(tmp_path / "a.h5").read_bytes())
    with h5py.File(file_object) as file:
        assert remote_file_of(file) is None
        assert isinstance(open_reader(file), OpenFileReader)
        assert_reads_as_h5py(file)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_in_an_archive_is_read(tmp_path, compression):
    path = series_file(tmp_path / "a.h5", n_frames=5)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", compression) as archive:
        archive.write(path, "day/a.h5")
    with open_url(f"zip://day/a.h5::{tmp_path}/a.zip") as opened:
        assert_reads_as_h5py(opened.h5, [4, 0, 2])


def test_an_archive_that_was_written_anew_is_read_anew(tmp_path):
    for layout in ("contiguous", "gzip"):
        path = series_file(tmp_path / "a.h5", n_frames=1, store=layout)
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(path, "a.h5")
        with open_url(f"zip://a.h5::{tmp_path}/a.zip") as opened:
            assert opened.h5[f"fli_0/{RAW}"].compression == {"contiguous": None, "gzip": "gzip"}[layout]


def test_a_file_in_an_archive_behind_a_web_server_is_read(tmp_path, web):
    path = series_file(tmp_path / "a.h5")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.h5")
    web.files["a.zip"] = (tmp_path / "a.zip").read_bytes()
    with open_url(f"zip://a.h5::{web.url}a.zip") as opened:
        assert_reads_as_h5py(opened.h5)


def test_an_open_file_of_fsspec_is_read(tmp_path):
    path = series_file(tmp_path / "a.h5")
    with open_url(fsspec.open(str(path))) as opened:
        assert_reads_as_h5py(opened.h5)


def test_threads_read_one_url_at_once(tmp_path, web):
    path = series_file(tmp_path / "a.h5", n_frames=20)
    web.files["a.h5"] = path.read_bytes()
    with open_url(web.url + "a.h5") as opened:
        reader, index = open_reader(opened.h5), index_all(opened.h5)
        expected = expected_images(opened.h5, np.float32)
        found = []
        threads = [threading.Thread(target=lambda: found.append(read(reader, index))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(found) == 4
    for images in found:
        np.testing.assert_array_equal(images, expected)
