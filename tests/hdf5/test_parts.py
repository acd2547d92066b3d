"""Parts of an output: whole or not there, and never believed without a checksum."""

import os
import threading
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flimage_dask import FLSeries, to_hdf5
from flimage_dask.errors import FileError, FileMissingError, UnfinishedRunError
from flimage_dask.hdf5 import lock
from flimage_dask.hdf5.encoding import Chunk
from flimage_dask.hdf5.leftovers import find_leftovers
from flimage_dask.hdf5.parts import DamagedPartError, Part, PartFolder, ReusedMemory

PART = Part("run", 40, {"shuffle": True}, [Chunk(b"abc"), Chunk(b"", 1), Chunk(bytes(range(256)))])


@pytest.fixture
def folder(tmp_path):
    """Return the folder of the parts of an output, with one part."""
    folder = PartFolder.of(tmp_path / "out.h5")
    folder.create({"n_blocks": 3}, {"estimate": "{}"})
    folder.write(PART)
    return folder


def test_a_folder_is_taken_by_one_run_at_a_time(folder):
    assert not folder.is_in_use()
    with folder.taken() as held:
        assert folder.is_in_use()
        with pytest.raises(UnfinishedRunError, match="another run is writing the same output"), folder.taken():
            pass
        folder.discard_all()
        assert folder.is_in_use()
        assert folder.finished() == []
        held.release()
        assert not folder.is_in_use()
    with folder.taken():
        assert folder.is_in_use()


def test_a_file_system_without_locks_is_everybodys(folder, monkeypatch):
    def refuse(*arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(
        lock, "_locks", SimpleNamespace(flock=refuse, locking=refuse, LOCK_EX=2, LOCK_NB=4, LOCK_UN=8, LK_NBLCK=2)
    )
    with folder.taken(), folder.taken():
        assert not folder.is_in_use()


def test_a_run_that_goes_on_is_listed(folder, tmp_path):
    stop = threading.Event()

    def work():
        while not stop.is_set():
            folder.write(PART)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(50):
            assert [leftover.target.name for leftover in find_leftovers(tmp_path)] == ["out.h5"]
    finally:
        stop.set()
        thread.join()


chunks = st.lists(st.builds(Chunk, st.binary(max_size=50), st.integers(0, 7)), max_size=5)


@given(st.text(), st.integers(0, 10**9), chunks)
def test_a_part_is_read_as_it_was_written(run, first, chunks):
    read = Part.from_bytes(b"".join(Part(run, first, {"level": 2}, chunks, 7).to_bytes()))

    assert (read.run, read.first, read.storage, read.n_clipped) == (run, first, {"level": 2}, 7)
    assert [(bytes(chunk.content), chunk.skipped) for chunk in read.chunks] == chunks


@given(st.data())
def test_a_part_with_any_bit_flipped_or_any_end_missing_is_refused(data):
    stored = bytearray(b"".join(PART.to_bytes()))
    if data.draw(st.booleans()):
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del stored[data.draw(st.integers(0, len(stored) - 1)) :]
    with pytest.raises(DamagedPartError):
        Part.from_bytes(bytes(stored))


@pytest.mark.parametrize("header", [b"[]", b"{}", b"nonsense", b'{"run": 1, "sizes": "x"}'])
def test_a_header_that_nobody_wrote_is_refused(header):
    from isal import isal_zlib

    from flimage_dask.hdf5.parts import _CHECKSUM, _MAGIC, _SIZE_OF_HEADER

    content = _MAGIC + _SIZE_OF_HEADER.pack(len(header)) + header
    with pytest.raises(DamagedPartError, match="header that cannot be read"):
        Part.from_bytes(content + _CHECKSUM.pack(isal_zlib.crc32(content)))


def test_finished_parts_are_found_in_the_order_of_their_frames(folder):
    for first in (1000, 8, 200):
        folder.write(Part("run", first, {}, []))
    (folder.path / "notes.part").touch()

    assert folder.finished() == [8, 40, 200, 1000]


def test_a_part_that_is_written_by_many_at_once_is_whole(folder):
    part = Part("run", 0, {}, [Chunk(bytes(100_000))])
    threads = [threading.Thread(target=folder.write, args=[part]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert bytes(folder.read(0, ReusedMemory()).chunks[0].content) == bytes(100_000)
    assert [file.name for file in folder.path.iterdir() if file.suffix == ".tmp"] == []


def test_parts_of_any_size_are_read_into_the_same_memory(folder):
    memory = ReusedMemory()
    for first, n_bytes in enumerate((100, 5_000, 0, 300)):
        content = bytes(range(100)) * (n_bytes // 100)
        folder.write(Part("run", first, {}, [Chunk(content)]))
        assert bytes(folder.read(first, memory).chunks[0].content) == content


@pytest.mark.parametrize(
    ("n_parts", "left"), [(0, "0 finished blocks in"), (1, "1 finished block in"), (2, "2 finished")]
)
def test_what_an_earlier_run_left_is_counted(folder, n_parts, left):
    folder.discard(PART.first)
    for first in range(n_parts):
        folder.write(Part("run", first, {}, []))
    folder.check_free(resume=True)
    with pytest.raises(UnfinishedRunError, match=left):
        folder.check_free(resume=None)


def test_a_missing_part_and_a_missing_folder_are_told_apart(folder):
    with pytest.raises(DamagedPartError, match="is missing"):
        folder.read(0, ReusedMemory())
    folder.remove()
    with pytest.raises(FileMissingError, match=r"is not there on '.*': it was removed during the"):
        folder.read(0, ReusedMemory())
    with pytest.raises(FileMissingError, match=r"is not there on '.*': it was removed during the"):
        folder.write(PART)


def test_what_is_not_finished_is_discarded_and_the_rest_kept(folder):
    (folder.path / "000000001.part.deadbeef.tmp").touch()
    (folder.path / ".out.h5.deadbeef.partial").touch()
    folder.discard_unfinished()

    assert sorted(file.name for file in folder.path.iterdir()) == ["000000040.part", "estimate.json", "run.json"]
    assert folder.keepsake("estimate") == "{}"
    assert folder.keepsake("other") is None


@pytest.mark.parametrize("content", ["", "[1]", "nonsense", "\xff"])
def test_a_note_that_cannot_be_read_is_an_empty_one(folder, content):
    (folder.path / "run.json").write_text(content, encoding="latin-1")
    assert folder.note() == {}


def test_leftovers_are_found_by_their_names(folder, tmp_path):
    partial = tmp_path / ".other.h5.0123abcd.partial"
    partial.write_bytes(b"\x89HDF\r\n\x1a\n..")
    (tmp_path / ".empty.h5.0123abcd.partial").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "whole.h5").touch()
    found = find_leftovers(tmp_path)

    assert [(one.target.name, one.n_blocks) for one in found] == [("empty.h5", None), ("other.h5", None), ("out.h5", 1)]
    assert found[1].n_bytes == 10
    assert found[2].n_bytes == sum(file.stat().st_size for file in folder.path.iterdir())
    for one in found:
        one.remove()
    assert find_leftovers(tmp_path) == []


def test_what_others_gave_such_names_is_no_leftover(tmp_path):
    (tmp_path / ".video.parts").mkdir()
    (tmp_path / ".video.parts" / "000000001.part").write_text("of a download")
    (tmp_path / ".empty.parts").mkdir()
    (tmp_path / ".notes.0123abcd.partial").write_text("of somebody")

    assert find_leftovers(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nothing that is open can be removed")
@pytest.mark.parametrize("resume", [None, True])
def test_an_output_is_seen_to_be_written_until_it_has_its_name(tmp_path, monkeypatch, resume):
    frames, seen, bring = da.arange(8.0, chunks=4)[:, None, None] * da.ones((8, 4, 5)), [], os.fsync

    def clean_meanwhile(descriptor):
        for leftover in find_leftovers(tmp_path):
            seen.append(leftover.is_in_use)
            leftover.remove()
        bring(descriptor)

    monkeypatch.setattr(os, "fsync", clean_meanwhile)
    to_hdf5(frames, tmp_path / "out.h5", resume=resume)

    assert seen
    assert all(seen)
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as fls:
        assert np.array_equal(fls.fl.compute(), frames.compute())


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        find_leftovers(tmp_path / "nowhere")
