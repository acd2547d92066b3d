"""Fixtures that several rooms of tests share."""

import importlib
import warnings
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import settings

from flimage_dask import FLImage, FLSeries

from .web import WebServer

# A machine that is busy with something else fails no test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data():
    """Return the folder of real series, which lies beside the checkout and is no part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real series are not here: no folder ../shared/data beside the checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def mito_path(shared_data):
    """Return the real series of 47 frames that bleach strongly, written by flimage 0.3.3."""
    return shared_data / "mito_series.h5"


@pytest.fixture(scope="session")
def flimage():
    """Import the real flimage, whose dependencies warn about optional parts of theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("flimage")


@pytest.fixture
def bleaching_frames():
    """Return 12 frames (24, 30) that bleach to a third, on a background of 10 counts, and their times."""
    return make_bleaching_frames(12)


@pytest.fixture
def series_path(tmp_path, bleaching_frames):
    """Return a file with a series of bleaching frames with times and identifiers."""
    return write_series_file(tmp_path / "series.h5", *bleaching_frames)


@pytest.fixture
def web():
    """Run a web server on this machine."""
    pytest.importorskip("aiohttp", reason="http needs the extra 'remote'")
    with WebServer().running() as server:
        yield server


@pytest.fixture
def in_memory():
    """Return a function that puts bytes behind a URL in the memory of this process."""
    filesystem = fsspec.filesystem("memory")

    def put(content, name="series.h5"):
        filesystem.pipe_file(f"/{name}", content)
        return f"memory://{name}"

    yield put
    filesystem.store.clear()


def make_bleaching_frames(n_frames, shape=(24, 30), seed=1):
    """Simulate integer counts of a bleaching square."""
    rng = np.random.default_rng(seed)
    times = 0.5 * np.arange(n_frames)
    cell = np.zeros(shape)
    cell[8:-8, 8:-8] = 1.0
    signal = 400 * (np.exp(-times / 2) + 0.3)
    return rng.poisson(10 + signal[:, None, None] * cell).astype(np.float32), times


def write_series_file(path, frames, times):
    """Write frames one by one as users of flimage do."""
    with FLSeries(h5file=path, h5mode="w", identifier="simulated") as fls:
        for number, (frame, time) in enumerate(zip(frames, times, strict=True)):
            meta = {"time": float(time), "identifier": f"frame_{number}", "pixel size": 1e-7}
            fls.add_flimage(FLImage(data=frame, meta_data=meta))
    return path
