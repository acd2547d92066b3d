"""A file is brought to its disk piece by piece while others write it."""

import os
from threading import Event

import pytest

from flimage_dask.hdf5 import growing
from flimage_dask.hdf5.growing import GrowingFile

SECONDS = 20


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(growing, "_PIECE_BYTES", 1000)
    monkeypatch.setattr(growing, "_SECONDS_BETWEEN_LOOKS", 0.001)
    path = tmp_path / "grows"
    path.touch()
    return path


def append(path, n_bytes):
    with open(path, "ab") as file:
        file.write(bytes(n_bytes))


@pytest.mark.skipif(not hasattr(os, "fdatasync"), reason="this system has no fdatasync to listen to")
def test_pieces_are_brought_to_the_disk_before_the_file_is_whole(path, monkeypatch):
    brought, bring = Event(), os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (bring(descriptor), brought.set()))
    with GrowingFile(path) as file:
        append(path, 100)
        assert not brought.wait(0.05)
        append(path, 1000)
        assert brought.wait(SECONDS)
        file.bring_rest()
    assert path.stat().st_size == 1100


def test_the_rest_is_brought_there_too(path, monkeypatch):
    waited_for = []
    monkeypatch.setattr(os, "fsync", waited_for.append)
    with GrowingFile(path) as file:
        append(path, 100)
        file.bring_rest()
    assert len(waited_for) == 1


@pytest.mark.skipif(not hasattr(os, "fdatasync"), reason="this system has no fdatasync that could fail")
def test_a_disk_that_fails_early_is_reported_in_the_end(path, monkeypatch):
    asked = Event()

    def fail(descriptor):
        asked.set()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with GrowingFile(path) as file:
        append(path, 2000)
        assert asked.wait(SECONDS)
        with pytest.raises(OSError, match="Input/output error"):
            file.bring_rest()
