"""On the workers of a cluster, which are other processes, frames are the same as on threads."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import dask
import dask.array as da
import h5py
import numpy as np
import pytest
from distributed import Client

from flimage_dask import BleachingEstimate, FLImage, FLSeries, SchedulerWarning, to_hdf5
from flimage_dask.errors import ClusterError, FileError, OutputExistsError, UnfinishedRunError
from flimage_dask.hdf5.leftovers import find_leftovers
from flimage_dask.hdf5.parts import PartFolder
from flimage_dask.lazy import remembered_estimates
from flimage_dask.running import cluster
from flimage_dask.running.block_tasks import BlockTasks
from flimage_dask.running.cluster import Cluster
from flimage_dask.running.scheduling import active_workers
from flimage_dask.view.leftovers import leftovers_text

from .conftest import make_bleaching_frames, write_series_file
from .hands import HandStartedCluster, wait_for

BORDER = 5

# Workers do not find the modules of the tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Run two workers, each a process with one thread."""
    with HandStartedCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.start_workers(2)
        with Client(scheduler_file=str(cluster.scheduler_file)) as client:
            client.wait_for_workers(2)
            yield client


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return a file with 60 frames."""
    return write_series_file(tmp_path_factory.mktemp("series") / "series.h5", *make_bleaching_frames(60))


@pytest.fixture
def fls(path):
    """Open 60 frames, which no estimate is remembered of."""
    with FLSeries(h5file=path, h5mode="r") as fls:
        yield fls


@pytest.fixture(autouse=True)
def _nothing_remembered():
    remembered_estimates.forget()


def on_threads(function):
    remembered_estimates.forget()
    with dask.config.set(scheduler="threads"):
        result = function()
    remembered_estimates.forget()
    return result


def values(path):
    with FLSeries(h5file=path, h5mode="r") as fls, dask.config.set(scheduler="threads"):
        return fls.raw_fl.compute()


def left_over(folder):
    return [file.name for file in Path(folder).iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize("block_bytes", ["2 kiB", "15 kiB", "1 MiB"])
def test_a_corrected_series_is_the_same_bit_by_bit_whatever_the_blocks(client, fls, tmp_path, block_bytes):
    expected = on_threads(lambda: fls.bleach_correction(tmp_path / "threads.h5", BORDER))
    with dask.config.set({"array.chunk-size": block_bytes}):
        found = fls.bleach_correction(tmp_path / "cluster.h5", BORDER)

    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert np.array_equal(values(tmp_path / "cluster.h5"), values(tmp_path / "threads.h5"))
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("n_workers", [1, 4])
def test_the_number_of_workers_does_not_matter(path, tmp_path, n_workers):
    with FLSeries(h5file=path, h5mode="r") as fls, HandStartedCluster(tmp_path) as cluster:
        on_threads(lambda: fls.bleach_correction(tmp_path / "threads.h5", BORDER))
        cluster.start_workers(n_workers)
        with Client(scheduler_file=str(cluster.scheduler_file)) as client:
            client.wait_for_workers(n_workers)
            with dask.config.set({"array.chunk-size": "6 kiB"}):
                fls.bleach_correction(tmp_path / "cluster.h5", BORDER)
    assert np.array_equal(values(tmp_path / "cluster.h5"), values(tmp_path / "threads.h5"))


def test_the_stored_bytes_and_the_metadata_are_those_of_threads(client, fls, tmp_path):
    on_threads(lambda: fls.bleach_correction(tmp_path / "threads.h5", BORDER))
    fls.bleach_correction(tmp_path / "cluster.h5", BORDER)

    with h5py.File(tmp_path / "cluster.h5") as found, h5py.File(tmp_path / "threads.h5") as expected:
        assert found.attrs["identifier"] == expected.attrs["identifier"]
        for number in (0, 31, 59):
            one, other = (file[f"fli_{number}/fluorescence/raw"].id for file in (found, expected))
            assert one.read_direct_chunk((0, 0)) == other.read_direct_chunk((0, 0))
            assert dict(found[f"fli_{number}"].attrs) == dict(expected[f"fli_{number}"].attrs)


@pytest.mark.parametrize(
    "arguments",
    [
        {"background": "per-frame"},
        {"background": np.full((24, 30), 9.0)},
        {"trace": "mean", "model": "auto", "exclude": [3]},
        {"correction": "additive"},
        {"compression": "lzf"},
        {"compression": None, "memory": "200 MiB"},
    ],
    ids=str,
)
def test_options_mean_what_they_mean_on_threads(client, fls, tmp_path, arguments):
    on_threads(lambda: fls.bleach_correction(tmp_path / "threads.h5", BORDER, **arguments))
    fls.bleach_correction(tmp_path / "cluster.h5", BORDER, **arguments)

    assert np.array_equal(values(tmp_path / "cluster.h5"), values(tmp_path / "threads.h5"))


def test_filters_of_hdf5plugin_are_loaded_by_the_workers(client, fls, tmp_path):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    fls.bleach_correction(tmp_path / "cluster.h5", BORDER, compression=hdf5plugin.Zstd())

    assert np.array_equal(values(tmp_path / "cluster.h5"), on_threads(fls.bleach_corrected(BORDER).compute))


def test_every_operation_that_writes_goes_to_the_workers(client, fls, tmp_path):
    pytest.importorskip("skimage")
    operations = {
        "background": lambda path: fls.background_correction(path, BORDER),
        "denoise": lambda path: fls.denoise(path),
        "match": lambda path: fls.histogram_matching(path),
        "view": lambda path: fls[10:50:3].bleach_correction(path, BORDER),
        "lazy": lambda path: to_hdf5(fls.bleach_corrected(BORDER), path, like=fls),
        "any": lambda path: to_hdf5(fls.fl.rechunk((7, 12, 30)) - fls.fl.mean(axis=0), path),
        "int": lambda path: to_hdf5(da.arange(120, dtype="i2").reshape(20, 2, 3), path, dtype="i4"),
    }
    for name, operation in operations.items():
        on_threads(lambda: operation(tmp_path / f"{name}_threads.h5"))  # noqa: B023
        operation(tmp_path / f"{name}.h5")
        assert np.allclose(values(tmp_path / f"{name}.h5"), values(tmp_path / f"{name}_threads.h5"), rtol=1e-6), name
    assert left_over(tmp_path) == []


def test_a_known_estimate_travels_block_by_block(client, fls, tmp_path):
    estimate = on_threads(lambda: fls.estimate_bleaching(BORDER, background="per-frame"))
    fls.bleach_correction(tmp_path / "out.h5", estimate=BleachingEstimate.from_json(estimate.to_json()))

    assert np.array_equal(values(tmp_path / "out.h5"), on_threads(fls.bleach_corrected(estimate=estimate).compute))


def test_a_series_open_for_writing_is_read_by_the_workers(client, path, tmp_path):
    with FLSeries(h5file=path) as fls:
        fls.bleach_correction(tmp_path / "out.h5", BORDER)
        assert np.array_equal(values(tmp_path / "out.h5"), on_threads(fls.bleach_corrected(BORDER).compute))


@pytest.fixture
def in_memory():
    """Return 60 frames in the memory of this process."""
    frames, times = make_bleaching_frames(60)
    return FLSeries([FLImage(frame, {"time": t}) for frame, t in zip(frames, times, strict=True)])


def test_a_series_in_memory_is_refused_by_workers_instead_of_waited_for(client, in_memory, tmp_path):
    with pytest.raises(FileError, match="in memory cannot be read from another process"):
        client.compute(in_memory.fl.sum()).result(timeout=30)
    with pytest.raises(FileError, match="in memory cannot be read from another process"):
        to_hdf5(in_memory.fl, tmp_path / "out.h5", like=in_memory)


@pytest.mark.filterwarnings("ignore::flimage_dask.SchedulerWarning")
def test_frames_in_memory_are_corrected_as_those_of_a_file_are_estimated(client, fls, in_memory, tmp_path):
    on_threads(lambda: fls.bleach_correction(tmp_path / "threads.h5", BORDER))
    fls.bleach_correction(tmp_path / "cluster.h5", BORDER, flscorr=in_memory)
    assert np.array_equal(values(tmp_path / "cluster.h5"), values(tmp_path / "threads.h5"))


def test_workers_read_what_was_added_to_a_series_that_is_open_for_writing(client, fls, tmp_path):
    expected = on_threads(lambda: fls.bleach_corrected(BORDER).compute())
    with FLSeries(h5file=tmp_path / "open.h5", h5mode="w") as series:
        for frame in fls:
            series.add_flimage(frame)
        assert np.array_equal(series.bleach_corrected(BORDER).compute(), expected)
        series.bleach_correction(tmp_path / "out.h5", BORDER)
    assert np.array_equal(values(tmp_path / "out.h5"), expected)


def test_a_series_in_memory_and_an_open_group_stay_with_their_process(client, fls, tmp_path):
    frames, times = make_bleaching_frames(6)
    in_memory = FLSeries([FLImage(frame, {"time": t}) for frame, t in zip(frames, times, strict=True)])
    with pytest.warns(SchedulerWarning, match="in the memory of this process"):
        in_memory.bleach_correction(tmp_path / "memory.h5", BORDER)
    with (
        h5py.File(tmp_path / "group.h5", "w") as file,
        pytest.warns(SchedulerWarning, match="an open group belongs to its process"),
    ):
        fls.background_correction(file, BORDER, background=10.0)
    assert values(tmp_path / "group.h5").shape == (60, 24, 30)


def test_counters_and_progress_see_every_frame(client, fls, tmp_path, capsys):
    class Counter:
        value = 0

    count, most = Counter(), Counter()
    fls.bleach_correction(tmp_path / "out.h5", BORDER, count=count, max_count=most, progress=True)

    assert (count.value, most.value) == (180, 180)
    assert "writing: 100%" in capsys.readouterr().err


def test_lazy_arrays_are_computed_by_workers_without_a_warning(client, fls):
    expected = on_threads(fls.bleach_corrected(BORDER).sum(axis=(1, 2)).compute)
    assert np.array_equal(fls.bleach_corrected(BORDER).sum(axis=(1, 2)).compute(), expected)


NUMBERED = np.arange(20.0)[:, None, None] * np.ones((20, 4, 5))
IN_BLOCKS, AS_ONE = (da.from_array(NUMBERED, chunks=(size, -1, -1)) for size in (5, -1))


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (da.stack([da.from_array(frame) for frame in NUMBERED]), NUMBERED),
        (da.stack([da.from_delayed(dask.delayed(np.copy)(frame), (4, 5), "f8") for frame in NUMBERED]), NUMBERED),
        (IN_BLOCKS[[5, 3, 1, 19, 0]], NUMBERED[[5, 3, 1, 19, 0]]),
        (IN_BLOCKS.cumsum(axis=0), NUMBERED.cumsum(axis=0)),
        (da.roll(AS_ONE, 3, axis=0), np.roll(NUMBERED, 3, axis=0)),
        (da.concatenate([AS_ONE, AS_ONE[::-1]]), np.concatenate([NUMBERED, NUMBERED[::-1]])),
    ],
    ids=["stack", "delayed", "selection", "cumsum", "roll", "concatenate"],
)
def test_whatever_an_array_is_made_of_workers_write_it(client, tmp_path, frames, expected):
    to_hdf5(frames, tmp_path / "out.h5")
    assert np.array_equal(values(tmp_path / "out.h5"), expected)


def correct_and_estimate(path, folder):
    """Do one file of many, as a task of the user."""
    with FLSeries(h5file=path, h5mode="r") as fls:
        estimate = fls.estimate_bleaching(BORDER, background="per-frame")
        fls.bleach_correction(folder / path.name, BORDER)
    return estimate.to_json()


def test_many_files_are_corrected_by_a_task_each(client, fls, path, tmp_path):
    paths = [tmp_path / f"{number}.h5" for number in range(4)]
    for copy in paths:
        copy.write_bytes(path.read_bytes())
    (tmp_path / "out").mkdir()
    expected = on_threads(lambda: fls.bleach_corrected(BORDER).compute())
    estimate = on_threads(lambda: fls.estimate_bleaching(BORDER, background="per-frame").to_json())

    futures = client.map(correct_and_estimate, paths, folder=tmp_path / "out")

    assert [future.result(timeout=60) for future in futures] == [estimate] * 4
    for copy in paths:
        assert np.array_equal(values(tmp_path / "out" / copy.name), expected)


def test_a_task_takes_the_threads_of_its_worker(client):
    assert client.submit(lambda: active_workers().n_threads).result(timeout=60) == 1


def test_the_traces_of_labels_are_measured_by_workers(client, fls):
    labels = np.zeros((24, 30), int)
    labels[8:16, 8:22] = 1
    assert np.array_equal(fls.intensities(labels=labels), on_threads(lambda: fls.intensities(labels=labels)))


def test_what_all_blocks_share_is_computed_once(client, tmp_path):
    log = tmp_path / "log"

    def counted_mean(total):
        with open(log, "a") as file:
            file.write("mean\n")
        return total

    frames = da.random.default_rng(0).random((300, 2, 3), chunks=(1, 2, 3))
    shared = frames.mean().map_blocks(counted_mean, meta=np.array(0.0))
    to_hdf5(frames - shared, tmp_path / "out.h5")

    assert log.read_text() == "mean\n"
    assert abs(values(tmp_path / "out.h5").mean()) < 1e-6


def test_a_bounded_number_of_tasks_is_with_the_scheduler(client):
    frames = da.zeros((1000, 1, 1), chunks=(1, 1, 1))
    counts = [
        client.run_on_scheduler(count_tasks)
        for k, _ in enumerate(Cluster(client).run(frames, range(1000), first_of))
        if k % 50 == 0
    ]
    assert len(counts) == 20
    assert 1 < max(counts) <= 300


def first_of(block, first):
    return first


def first_and_time_of(block, first):
    return first, time.time()


def test_blocks_are_done_in_the_order_of_the_frames(client):
    frames = Cluster(client).with_shared_values(da.from_array(np.arange(200.0)[:, None, None], chunks=(1, 1, 1)) + 1)
    done = [result for _, result in Cluster(client).run(frames, range(3, 200), first_and_time_of)]
    order = [first for first, _ in sorted(done, key=lambda pair: pair[1])]

    assert sorted(order) == list(range(3, 200))
    assert np.abs(np.subtract(order, range(3, 200))).mean() < 8  # from the end of each group it would be 30


def count_tasks(dask_scheduler):
    return len(dask_scheduler.tasks)


def test_tasks_carry_a_piece_of_a_series_not_its_index(tmp_path):
    sizes = []
    for n_frames in (30, 300):
        path = write_series_file(tmp_path / f"{n_frames}.h5", *make_bleaching_frames(n_frames))
        with FLSeries(h5file=path, h5mode="r") as fls, dask.config.set({"array.chunk-size": "15 kiB"}):
            estimate = on_threads(lambda: fls.estimate_bleaching(BORDER))
            tasks = BlockTasks(fls.bleach_corrected(estimate=estimate), first_of, (), lambda v: list(dask.persist(*v)))
            results = tasks.of([0, 1])
            graph = dict(results[0].dask)
            own = [graph[result.key] for result in results]
            sizes.append(len(cloudpickle.dumps(own)))
            assert len(graph) - len(own) <= 3  # where the frames are, the estimate, and what the function is told
    assert sizes[1] < 1.2 * sizes[0]


def test_workers_that_do_not_see_the_folder_are_named(client, tmp_path, monkeypatch):
    monkeypatch.setattr("flimage_dask.running.cluster._try_folder", lambda probe: "'far' does not see the folder 'x'")
    with pytest.raises(
        ClusterError, match=r"the worker tcp://127.0.0.1:\d+ on 'far' does not see .* file system that all"
    ):
        Cluster(client).check_folder(tmp_path)


def test_a_worker_without_the_package_is_named(client, tmp_path, monkeypatch):
    without = {"packages": {"flimage_dask": None}}
    found = {"client": {"packages": {"flimage_dask": "2.0"}}, "workers": {"tcp://far:1": without}}
    monkeypatch.setattr(client, "get_versions", lambda packages: found)
    with pytest.raises(ClusterError, match=r"the worker tcp://far:1 has no flimage_dask; this process has 2\.0: inst"):
        Cluster(client).check_folder(tmp_path)


def test_a_series_behind_a_url_is_not_estimated_by_workers_of_another_version(client, path, web, monkeypatch):
    web.files["series.h5"] = path.read_bytes()
    versions = client.get_versions(packages=["flimage_dask"])
    versions["client"]["packages"]["flimage_dask"] = "another"
    monkeypatch.setattr(client, "get_versions", lambda packages: versions)
    with (
        FLSeries(h5file=f"{web.url}series.h5", h5mode="r") as fls,
        pytest.raises(ClusterError, match="this process has another: install the same version"),
    ):
        fls.intensities()


def test_a_folder_that_the_system_refuses_to_look_into_is_a_problem(tmp_path):
    assert "cannot write to the folder" in cluster._try_folder(str(tmp_path / ("x" * 300) / "probe"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is read-only for this user")
def test_a_folder_that_workers_cannot_write_to_is_refused(client, fls, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(OSError, match="cannot be written to"):
        fls.bleach_correction(tmp_path / "out" / "out.h5", BORDER)


def numbered_frames(path):
    """Return 40 frames in blocks of 4, of which one fails as long as a file is missing."""
    numbers = np.broadcast_to(np.arange(40, dtype="f4")[:, None, None], (40, 4, 5))
    return da.from_array(numbers, chunks=(4, 4, 5)).map_blocks(failing_unless, path.with_suffix(".go"), dtype="f4")


def interrupted_run(path):
    frames = numbered_frames(path)
    with pytest.raises(RuntimeError, match="as planned") as caught:
        to_hdf5(frames, path)
    return frames, caught.value


def failing_unless(block, go):
    if block[0, 0, 0] == 28 and not go.exists():
        parts = go.with_name(".out.h5.parts")
        until = time.monotonic() + 10
        while len(list(parts.glob("*.part"))) < 5 and time.monotonic() < until:
            time.sleep(0.02)
        raise RuntimeError("as planned")
    with open(go.with_suffix(".log"), "a") as file:
        file.write(f"{int(block[0, 0, 0])}\n")
    return block


def wait_until_nothing_comes(path):
    """Wait for blocks that are being done though nobody waits for them any more."""
    seen = None
    while seen != (seen := PartFolder.of(path).finished()):
        time.sleep(0.5)


@pytest.mark.parametrize("where", ["cluster", "threads"])
def test_a_run_that_failed_goes_on_with_what_is_done(client, tmp_path, where):
    path = tmp_path / "out.h5"
    frames, error = interrupted_run(path)
    assert not path.exists()
    assert re.search(r"\d of 10 blocks are done: go on with resume=True", error.__notes__[0])
    wait_until_nothing_comes(path)
    done = set(path.with_suffix(".log").read_text().split())
    n_finished = len(PartFolder.of(path).finished())
    with pytest.raises(
        UnfinishedRunError, match=rf"left {n_finished} finished blocks? in .*resume=True, or start again"
    ):
        to_hdf5(frames, path)
    path.with_suffix(".go").touch()
    path.with_suffix(".log").unlink()
    with dask.config.set(scheduler="threads") if where == "threads" else dask.config.set():
        to_hdf5(frames, path, resume=True)
    again = path.with_suffix(".log").read_text().split()

    assert np.array_equal(values(path)[:, 0, 0], np.arange(40))
    assert set(again) | done == {str(k) for k in range(0, 40, 4)}
    assert len(again) == 10 - n_finished
    assert left_over(tmp_path) == []


def test_an_estimate_is_not_made_again(client, fls, tmp_path, monkeypatch):
    path = tmp_path / "out.h5"
    expected = on_threads(lambda: fls.bleach_correction(tmp_path / "threads.h5", BORDER))
    with monkeypatch.context() as patch:
        patch.setattr("flimage_dask.hdf5.writer.SeriesWriter.store", interrupt)
        with pytest.raises(KeyboardInterrupt) as caught:
            fls.bleach_correction(path, BORDER)
    assert "resume=True" in caught.value.__notes__[0]
    remembered_estimates.forget()
    monkeypatch.setattr("flimage_dask.lazy.remembered_estimates.estimate", None)
    found = fls.bleach_correction(path, BORDER, resume=True)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert np.array_equal(values(path), values(tmp_path / "threads.h5"))


def interrupt(*arguments):
    raise KeyboardInterrupt


def test_threads_go_on_with_the_larger_blocks_of_workers(client, fls, tmp_path, monkeypatch):
    path, frame_bytes = tmp_path / "out.h5", fls[0].fl.nbytes
    monkeypatch.setattr("flimage_dask.running.scheduling.LARGEST_BLOCK", frame_bytes)
    monkeypatch.setattr("flimage_dask.running.scheduling.LARGEST_PART", 3 * frame_bytes)
    with monkeypatch.context() as patch:
        patch.setattr("flimage_dask.hdf5.writer.SeriesWriter.store", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fls.bleach_correction(path, BORDER)
    wait_until_nothing_comes(path)
    finished = PartFolder.of(path).finished()
    assert finished
    assert set(finished) <= set(range(0, len(fls), 3))
    on_threads(lambda: fls.bleach_correction(path, BORDER, resume=True))
    on_threads(lambda: fls.bleach_correction(tmp_path / "threads.h5", BORDER))
    assert np.array_equal(values(path), values(tmp_path / "threads.h5"))


def test_a_run_on_threads_leaves_blocks_too_if_it_is_to_resume(fls, tmp_path):
    path = tmp_path / "out.h5"
    go = path.with_suffix(".go")
    lazy = numbered_frames(path)
    with dask.config.set(scheduler="threads", num_workers=1):
        with pytest.raises(RuntimeError, match="as planned"):
            to_hdf5(lazy, path, resume=True)
        assert len(PartFolder.of(path).finished()) >= 6
        go.touch()
        to_hdf5(lazy, path, resume=True)
    assert np.array_equal(values(path)[:, 0, 0], np.arange(40))
    done = sorted(map(int, go.with_suffix(".log").read_text().split()))
    assert done == [0, *range(0, 40, 4)]  # the first block was a sample too


@pytest.mark.parametrize("step", ["discard_all", "create"])
def test_a_run_that_fails_before_its_first_block_leaves_nothing(tmp_path, monkeypatch, step):
    monkeypatch.setattr(PartFolder, step, interrupt)
    with dask.config.set(scheduler="threads"), pytest.raises(KeyboardInterrupt):
        to_hdf5(da.zeros((4, 8, 8)), tmp_path / "out.h5", resume=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_block_or_a_note_is_no_earlier_run(tmp_path):
    path = tmp_path / "out.h5"
    with PartFolder.of(path).taken(), dask.config.set(scheduler="threads"), pytest.raises(UnfinishedRunError):
        to_hdf5(da.zeros((4, 8, 8)), path)
    assert PartFolder.of(path).exists()
    with dask.config.set(scheduler="threads"):
        to_hdf5(da.zeros((4, 8, 8)), path)
    assert not np.any(values(path))


def test_another_run_is_not_mixed_with_what_is_done(client, tmp_path):
    path = tmp_path / "out.h5"
    frames, _ = interrupted_run(path)
    path.with_suffix(".go").touch()
    with pytest.raises(UnfinishedRunError, match="of another run: frames differ"):
        to_hdf5(frames + 1, path, resume=True)
    with pytest.raises(UnfinishedRunError, match="of another run: dtype differ"):
        to_hdf5(frames, path, dtype="f8", resume=True)
    with pytest.raises(UnfinishedRunError, match="of another run: storage differ"):
        to_hdf5(frames, path, level=9, resume=True)
    assert PartFolder.of(path).finished()
    to_hdf5(frames + 1, path, resume=False)
    assert np.array_equal(values(path)[:, 0, 0], np.arange(40) + 1)
    assert left_over(tmp_path) == []


def test_threads_start_again_if_they_are_told_to(client, tmp_path):
    path = tmp_path / "out.h5"
    frames, _ = interrupted_run(path)
    path.with_suffix(".go").touch()
    with dask.config.set(scheduler="threads"):
        to_hdf5(frames, path, resume=False)
    assert left_over(tmp_path) == []


RUN_THAT_WAITS = """
import sys, time
from pathlib import Path
import dask.array as da
from flimage_dask import to_hdf5

folder = Path(sys.argv[1])

def wait(block):
    while not (folder / "go").exists():
        time.sleep(0.02)
    return block

frames = da.ones((40, 8, 8), chunks=(10, -1, -1))
to_hdf5(frames.map_blocks(wait, meta=frames._meta), folder / "out.h5", resume=True)
"""


def test_a_run_keeps_its_hands_off_what_another_one_is_writing(tmp_path):
    path = tmp_path / "out.h5"
    other = subprocess.Popen([sys.executable, "-c", RUN_THAT_WAITS, str(tmp_path)], cwd=Path(__file__).parents[1])
    try:
        wait_for(lambda: PartFolder.of(path).is_in_use() or other.poll() is not None)
        for resume in (None, True, False):
            # In this process as well as in another one.
            with pytest.raises(UnfinishedRunError, match="another run is writing the same output"):
                to_hdf5(da.zeros((40, 8, 8), chunks=(10, -1, -1)), path, resume=resume)
        (leftover,) = find_leftovers(tmp_path)
        leftover.remove()
        assert "being written: nothing to remove" in leftovers_text(tmp_path, [leftover], removed=False)
    finally:
        (tmp_path / "go").touch()
        assert other.wait(60) == 0
    assert np.all(values(path) == 1)


@pytest.mark.parametrize("damage", ["truncated", "one bit", "empty", "another run", "missing"])
def test_a_damaged_part_is_made_again(client, tmp_path, damage):
    path = tmp_path / "out.h5"
    frames, _ = interrupted_run(path)
    part, other = sorted(PartFolder.of(path).path.glob("*.part"))[1:3]
    content = bytearray(part.read_bytes())
    if damage == "one bit":
        content[len(content) // 2] ^= 4
    elif damage == "another run":
        content = other.read_bytes()
    else:
        content = content[: {"truncated": -7, "empty": 0, "missing": 0}[damage]]
    part.write_bytes(content)
    if damage == "missing":
        part.unlink()
    path.with_suffix(".go").touch()
    to_hdf5(frames, path, resume=True)
    assert np.array_equal(values(path)[:, 0, 0], np.arange(40))


def test_the_note_of_a_run_says_what_it_is(client, tmp_path):
    path = tmp_path / "out.h5"
    interrupted_run(path)
    note = json.loads((PartFolder.of(path).path / "run.json").read_text())
    assert note["blocks"] == [[4, 10]]
    assert note["dtype"] == "<f4"
    assert note["shuffle"] in (True, False)


def test_an_existing_output_is_refused_before_anything_is_done(client, fls, tmp_path):
    (tmp_path / "out.h5").touch()
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        fls.bleach_correction(tmp_path / "out.h5", BORDER)
    fls.bleach_correction(tmp_path / "out.h5", BORDER, overwrite=True)
    assert values(tmp_path / "out.h5").shape == (60, 24, 30)
