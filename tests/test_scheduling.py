"""Whoever computes, no more blocks are worked on at a time than the memory of a run allows."""

import logging
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import Pool
from multiprocessing.pool import ThreadPool

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client

from flimage_dask import FLSeries, SchedulerWarning, to_hdf5
from flimage_dask.process_local import ProcessLocal
from flimage_dask.progress import ignore_progress
from flimage_dask.running.scheduling import ThisProcess, active_workers

N_THREADS = 6


class AtWork(ProcessLocal):
    """Count the blocks that are worked on at a time."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, block, *first):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01)
        with self.lock:
            self.now -= 1
        return block.sum(axis=(1, 2)) if first else block


@pytest.fixture(params=["threads", "pool", "pool of multiprocessing", "executor", "client"])
def scheduler(request):
    """Choose a scheduler with six threads in this process, in each way that dask knows."""
    if request.param == "threads":
        with dask.config.set(num_workers=N_THREADS):
            yield
    elif request.param == "pool":
        with ThreadPoolExecutor(N_THREADS) as pool, dask.config.set(pool=pool):
            yield
    elif request.param == "pool of multiprocessing":
        with ThreadPool(N_THREADS) as pool, dask.config.set(pool=pool):
            yield
    elif request.param == "executor":
        with ThreadPoolExecutor(N_THREADS) as pool, dask.config.set(scheduler=pool):
            yield
    else:
        with Client(processes=False, n_workers=2, threads_per_worker=3, dashboard_address="127.0.0.1:0"):
            yield


@pytest.mark.usefixtures("scheduler")
def test_the_threads_are_those_of_the_scheduler():
    assert active_workers().n_threads == N_THREADS
    assert active_workers().limited_to(2).n_threads == 2
    assert active_workers().limited_to(8).n_threads == N_THREADS


@pytest.mark.usefixtures("scheduler")
@pytest.mark.parametrize("n_threads", [1, 2, N_THREADS])
def test_no_more_blocks_are_worked_on_than_threads_may_work(n_threads):
    frames = da.random.default_rng(0).normal(size=(48, 4, 4), chunks=(2, -1, -1))
    at_work, told = AtWork(), []
    sums = active_workers().limited_to(n_threads).apply(frames, at_work, (), told.append)
    assert at_work.most <= n_threads
    assert np.array_equal(np.concatenate(sums), frames.compute().sum(axis=(1, 2)))
    assert sum(told) == 48


@pytest.mark.usefixtures("scheduler")
@pytest.mark.parametrize("resume", [None, True])
def test_a_run_within_little_memory_gives_the_same_file(tmp_path, resume):
    frames = da.random.default_rng(0).normal(size=(32, 64, 64), chunks=(1, -1, -1)).astype("f4")
    frames = frames - frames.mean(axis=0)
    with dask.config.set(scheduler="synchronous"):
        to_hdf5(frames, tmp_path / "expected.h5")
    at_work = AtWork()
    with dask.config.set({"flimage_dask.memory": "25 MiB"}):
        to_hdf5(frames.map_blocks(at_work, meta=frames._meta), tmp_path / "out.h5", resume=resume)
    assert at_work.most == 1
    found, expected = (stored(tmp_path / name) for name in ("out.h5", "expected.h5"))
    assert np.array_equal(found, expected)


def test_the_memory_that_a_run_may_take_is_logged_before_it_starts(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG, logger="flimage_dask.running.scheduling"):
        to_hdf5(da.ones((6, 512, 512), chunks=(1, -1, -1)), tmp_path / "out.h5")
    (record,) = caplog.records
    assert re.match(r"a run of 6 frames may add \d+\.\d\d MiB to a process: MemoryPlan\(block", record.message)


def stored(path):
    with FLSeries(h5file=path, h5mode="r") as fls, dask.config.set(scheduler="synchronous"):
        return fls.raw_fl.compute()


def test_threads_that_are_asked_for_are_none_of_a_pool_whose_threads_may_wait_for_them():
    frames = da.ones((4, 2, 2), chunks=(1, -1, -1))
    with ThreadPoolExecutor(1, thread_name_prefix="pool of the user") as pool, dask.config.set(pool=pool):
        names = ThisProcess(scheduler="threads").apply(frames, name_of_thread, (), ignore_progress)
    assert len(names) == 4
    assert not any("pool of the user" in name for name in names)


def name_of_thread(block, first):
    return threading.current_thread().name


def test_a_task_of_a_client_in_this_process_does_not_wait_for_tasks_of_its_own(tmp_path):
    def write(number):
        to_hdf5(da.ones((4, 8, 8), chunks=(1, -1, -1)), tmp_path / f"{number}.h5")
        return number

    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
        futures = client.map(write, range(4))
        assert [future.result(timeout=60) for future in futures] == list(range(4))
    assert stored(tmp_path / "3.h5").shape == (4, 8, 8)


@pytest.mark.parametrize("how", ["scheduler", "pool"])
@pytest.mark.parametrize("make", [ProcessPoolExecutor, Pool])
def test_processes_cannot_work_with_an_open_file(tmp_path, how, make):
    if (how, make) == ("scheduler", Pool):
        pytest.skip("dask takes no pool of multiprocessing for a scheduler")
    with make(1) as pool, dask.config.set({how: pool}), pytest.warns(SchedulerWarning, match="threads of this process"):
        to_hdf5(da.ones((4, 8, 8)), tmp_path / "out.h5")
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        assert len(out) == 4


@pytest.mark.parametrize("make", [ThreadPoolExecutor, ThreadPool])
def test_a_task_in_a_pool_waits_for_no_other_task_there(tmp_path, make):
    def write(number):
        to_hdf5(da.ones((4, 8, 8)), tmp_path / f"{number}.h5")
        return number

    with make(2) as pool, dask.config.set(pool=pool):
        assert dask.compute(*[dask.delayed(write)(number) for number in range(40)]) == tuple(range(40))


CORRECT_IN_FORKS = """
import multiprocessing, sys
import dask.array as da
from flimage_dask import FLSeries, to_hdf5

def write(number):
    to_hdf5(da.ones((4, 8, 8)), f"{sys.argv[1]}/{number}.h5")
    return number

write("here")
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map_async(write, range(3)).get(30))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork processes")
def test_a_forked_process_has_threads_of_its_own(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", CORRECT_IN_FORKS, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.stdout == "[0, 1, 2]\n", run.stderr
