"""What is shown while frames are done."""

import time

import numpy as np
import pytest

from flimage_dask import FLImage, FLSeries, sequence
from flimage_dask.hdf5.index import index_series
from flimage_dask.progress import track


def test_a_bar_shows_frames_and_megabytes(capsys):
    with track(10, "writing", True, frame_bytes=10**6) as shown:
        for _ in range(10):
            time.sleep(0.01)
            shown.advance(1)
    bar = capsys.readouterr().err.split("\r")[-1]
    assert bar.startswith("writing: 100%")
    assert "10/10" in bar
    assert " frames" in bar
    assert "MB/s" in bar


@pytest.mark.parametrize("show", [None, False])
def test_nothing_is_shown_where_nobody_watches_or_wants_it(capsys, show):
    with track(10, "writing", show) as shown:
        shown.advance(10)
    assert capsys.readouterr().err == ""


def test_what_is_done_at_once_shows_no_bar(capsys):
    with track(10, "indexing", True, delay=60.0) as shown:
        shown.advance(10)
    assert capsys.readouterr().err.strip() == ""


@pytest.fixture
def fls():
    return FLSeries([FLImage(np.full((4, 6), k), {"time": k}) for k in range(7)])


def test_indexing_reports_two_visits_to_every_frame(fls, monkeypatch):
    monkeypatch.setattr("flimage_dask.hdf5.index._BATCH", 3)
    reported = []
    index_series(fls.h5, np.arange(7), reported.append)
    assert reported == [3, 3, 1, 3, 3, 1]


def test_an_index_that_takes_long_shows_its_progress(fls, monkeypatch, capsys):
    monkeypatch.setattr(sequence, "_PATIENCE", 0.0)
    fls.background_correction(FLSeries().h5, background=1.0, progress=True)
    assert "indexing: 100%" in capsys.readouterr().err
    fls[:3].background_correction(FLSeries().h5, background=1.0, progress=False)
    assert capsys.readouterr().err == ""
