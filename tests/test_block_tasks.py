"""Blocks are computed in turn, in bounded memory, whatever the array is made of."""

import threading

import dask
import dask.array as da
import numpy as np
import pytest
from dask import blockwise
from distributed import Client

from flimage_dask import FLSeries, to_hdf5
from flimage_dask.progress import ignore_progress
from flimage_dask.running.block_tasks import BlockTasks
from flimage_dask.running.scheduling import ThisProcess

SHAPE = (4, 5)


class Recorder:
    """An array-like of numbered frames that notes what is read of it."""

    def __init__(self, n_frames, frame_shape=SHAPE):
        self.shape, self.dtype, self.ndim = (n_frames, *frame_shape), np.dtype("f4"), 3
        self.frames, self.n_pixels = [], 0

    def __getitem__(self, part):
        frames = np.arange(self.shape[0])[part[0]]
        block = np.broadcast_to(frames[:, None, None], (len(frames), *self.shape[1:]))[:, *part[1:]].astype("f4")
        self.frames += frames.tolist()
        self.n_pixels += block.size
        return block


def stored_frames(path):
    with FLSeries(h5file=path, h5mode="r") as fls, dask.config.set(scheduler="threads"):
        return fls.raw_fl.compute()


def first_of(block, first):
    return first


@pytest.fixture(params=["threads", "synchronous", "a client in this process"])
def scheduler(request):
    """Choose a scheduler whose tasks run in this process."""
    if request.param != "a client in this process":
        with dask.config.set(scheduler=request.param, num_workers=2):
            yield None
        return
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
        yield client


def test_all_results_come_in_order(scheduler):
    frames = da.zeros((600, *SHAPE), chunks=(2, -1, -1))
    assert ThisProcess().apply(frames, first_of, (), ignore_progress) == list(range(0, 600, 2))


def test_no_graph_grows_with_the_series():
    def longest(n_blocks):
        frames = da.from_array(Recorder(n_blocks), chunks=(1, -1, -1), asarray=False) + 1
        tasks = BlockTasks(frames, first_of, (), lambda values: list(dask.persist(*values)))
        return max(len(results.dask) for results in tasks.in_turn(50))

    assert longest(500) == longest(100)


def test_no_group_makes_the_tasks_of_all_blocks(monkeypatch):
    n_made, make = [], blockwise._make_blockwise_graph
    frames = da.from_array(Recorder(500), chunks=(1, -1, -1), asarray=False) + 1
    tasks = BlockTasks(frames, first_of, (), lambda values: list(dask.persist(*values)))
    tasks.of([0, 1])

    def counted(*args, **options):
        made = make(*args, **options)
        n_made.append(len(made))
        return made

    monkeypatch.setattr(blockwise, "_make_blockwise_graph", counted)
    for start in range(0, 500, 50):
        tasks.of([start, start + 1])
    assert sum(n_made) < 100


class CountedFrame(np.ndarray):
    """A frame that counts how many of its kind are in memory at a time."""

    lock = threading.Lock()
    alive = most = 0

    @classmethod
    def load(cls, number):
        with cls.lock:
            CountedFrame.alive += 1
            CountedFrame.most = max(cls.most, cls.alive)
        frame = cls(SHAPE, "f4")
        frame[...] = number
        return frame

    def __del__(self):
        if self.base is None:
            with self.lock:
                CountedFrame.alive -= 1


def test_frames_of_tasks_of_their_own_are_not_all_in_memory_at_a_time(tmp_path, scheduler):
    CountedFrame.alive = CountedFrame.most = 0
    single = [da.from_delayed(dask.delayed(CountedFrame.load)(number), SHAPE, "f4") for number in range(100)]
    to_hdf5(da.stack(single), tmp_path / "out.h5")
    assert np.array_equal(stored_frames(tmp_path / "out.h5")[:, 0, 0], np.arange(100))
    assert CountedFrame.most < 30


@pytest.mark.parametrize("resume", [None, True])
def test_slices_reach_what_is_read(tmp_path, resume):
    recorder = Recorder(64, (32, 32))
    frames = da.from_array(recorder, chunks=(4, -1, -1), asarray=False, meta=np.empty((0, 0, 0), "f4"))
    with dask.config.set(scheduler="threads", num_workers=1):
        to_hdf5(frames[::8, 8:16, 8:16], tmp_path / "out.h5", resume=resume)
    sample = [0] if resume else []  # of which it is learned how frames are best stored
    assert recorder.frames == [*sample, *range(0, 64, 8)]
    assert recorder.n_pixels == 64 * len(recorder.frames)
    assert np.array_equal(stored_frames(tmp_path / "out.h5")[:, 0, 0], np.arange(0, 64, 8))


@pytest.mark.parametrize("resume", [None, True])
def test_what_a_client_in_this_process_holds_is_found(tmp_path, resume):
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
        frames = client.persist(da.arange(60, chunks=6)[:, None, None] * da.ones((60, *SHAPE), chunks=(6, -1, -1)))
        mean = client.persist(frames.mean(axis=0))
        to_hdf5(frames - mean, tmp_path / "out.h5", resume=resume)
    assert np.array_equal(stored_frames(tmp_path / "out.h5")[:, 0, 0], np.arange(60) - 29.5)


def test_blocks_that_depend_on_each_other_are_right(tmp_path, scheduler):
    frames = da.arange(60, chunks=6)[:, None, None] * da.ones((60, *SHAPE), chunks=(6, -1, -1))
    to_hdf5(frames.rechunk((60, 2, 5)).cumsum(axis=0).rechunk((7, -1, -1)), tmp_path / "out.h5")
    assert np.array_equal(stored_frames(tmp_path / "out.h5")[:, 0, 0], np.cumsum(np.arange(60)))
