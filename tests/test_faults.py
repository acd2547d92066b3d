"""Through every fault a run ends with the right output, or with one clear error, no output, and a way to go on.

Faults are put into the blocks themselves, so that each happens at the same point of every run, except for
the workers that are killed at random.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

from flimage_dask import FLSeries, SchedulerWarning, to_hdf5
from flimage_dask.errors import ClusterError, FileChangedError, FileError, FileMissingError
from flimage_dask.hdf5.parts import PartFolder

from .conftest import make_bleaching_frames, write_series_file
from .hands import HandStartedCluster, end, wait_for
from .test_cluster import left_over, values

N_FRAMES, N_BLOCK = 48, 4
FAULTY = 28

pytestmark = pytest.mark.skipif(os.name != "posix", reason="faults are made with signals of POSIX")

# Workers do not find the modules of the tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def hands(tmp_path):
    """Start a scheduler and two workers by hand."""
    (tmp_path / "cluster").mkdir()
    with HandStartedCluster(tmp_path / "cluster") as cluster:
        yield cluster.start_workers(2)


@pytest.fixture
def client(hands):
    """Connect to them."""
    with connected(hands) as client:
        yield client


@contextlib.contextmanager
def connected(hands, timeout=20):
    with Client(scheduler_file=str(hands.scheduler_file), timeout=timeout) as client:
        client.wait_for_workers(1)
        yield client


def frames_with(fault, folder):
    """Return frames whose pixels are their numbers; one block comes with a fault until it is mended."""
    numbers = np.broadcast_to(np.arange(N_FRAMES, dtype="f4")[:, None, None], (N_FRAMES, 6, 5))
    return da.from_array(numbers, chunks=(N_BLOCK, 6, 5)).map_blocks(computed, fault, str(folder), dtype="f4")


def computed(block, fault, folder):
    """Take note of a block, and let a fault happen in it once others are done."""
    mended = Path(folder, "mended")
    if block[0, 0, 0] == FAULTY and not mended.exists():
        until = time.monotonic() + 5
        while len(list(Path(folder, ".out.h5.parts").glob("*.part"))) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        fault(folder, mended)
    with open(Path(folder, "computed"), "a") as file:
        file.write(f"{int(block[0, 0, 0])}\n")
    return block


def is_right(path):
    return np.array_equal(values(path)[:, 0, 0], np.arange(N_FRAMES)) and values(path).shape == (N_FRAMES, 6, 5)


def assert_whole(path):
    """Expect the right output and nothing beside it."""
    assert is_right(path)
    assert left_over(path.parent) == []


def resume(frames, path):
    """Mend the fault and go on, and expect that no finished block is done again."""
    done = {int(part.stem) for part in PartFolder.of(path).path.glob("*.part")}
    (path.parent / "mended").touch()
    (path.parent / "computed").unlink(missing_ok=True)
    to_hdf5(frames, path, resume=True)
    again = {int(number) for number in (path.parent / "computed").read_text().split()}
    assert done
    assert not done & again
    assert_whole(path)


def kill_once(folder, mended):
    mended.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def kill_always(folder, mended):
    os.kill(os.getpid(), signal.SIGKILL)


def stop(folder, mended):
    mended.touch()
    os.kill(os.getpid(), signal.SIGSTOP)


def remove_parts(folder, mended):
    # In one step: other workers write into it.
    parts = Path(folder, ".out.h5.parts").rename(Path(folder, "removed"))
    shutil.rmtree(parts)


def damage_parts(folder, mended):
    """Flip a bit of each finished part, and take note of it."""
    for part in Path(folder, ".out.h5.parts").glob("*.part"):
        content = bytearray(part.read_bytes())
        content[-20] ^= 1
        part.write_bytes(content)
        with open(Path(folder, "damaged"), "a") as file:
            file.write(f"{part.stem}\n")
    mended.touch()


def stop_before_the_part_has_its_name(folder, mended):
    """Stop this worker when all but the name of the part is written, and note when that is done after all."""
    mended.touch()
    replace = Path.replace

    def replace_late(temporary, part):
        Path.replace = replace
        Path(folder, "stopped").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGSTOP)
        # The signal may be that of another thread, so that this one goes on for a moment.
        while not Path(folder, "given up").exists():
            time.sleep(0.01)
        replace(temporary, part)
        Path(folder, "written late").touch()

    Path.replace = replace_late


def fill_the_memory(folder, mended):
    kept = np.ones(2**30 // 8)
    time.sleep(60)
    del kept


def kill_a_process(folder, mended):
    mended.touch()
    os.kill(int(Path(folder, "pid").read_text()), signal.SIGKILL)
    time.sleep(1)


def replace_the_input(folder, mended=None):
    source = Path(folder, "series.h5")
    copy = shutil.copy(source, Path(folder, "other.h5"))
    Path(copy).replace(source)


def test_a_worker_is_killed(client, tmp_path):
    to_hdf5(frames_with(kill_once, tmp_path), tmp_path / "out.h5")
    assert_whole(tmp_path / "out.h5")


def test_a_worker_is_stopped_for_a_while(hands, client, tmp_path):
    def go_on():
        wait_for((tmp_path / "mended").exists)
        time.sleep(1)
        for worker in hands.workers:
            os.kill(worker.pid, signal.SIGCONT)

    waker = threading.Thread(target=go_on)
    waker.start()
    to_hdf5(frames_with(stop, tmp_path), tmp_path / "out.h5")
    waker.join()
    assert_whole(tmp_path / "out.h5")


def test_workers_are_killed_at_random_moments(hands, client, tmp_path):
    path, chance = tmp_path / "out.h5", random.Random(0)
    hands.start_workers(2)
    client.wait_for_workers(4)
    alive, too_late = list(hands.workers), []

    def kill_three():
        wait_for(PartFolder.of(path).exists)
        for _ in range(3):
            time.sleep(chance.uniform(0, 0.15))
            worker = alive.pop(chance.randrange(len(alive)))
            too_late.append(path.exists())
            end(worker)

    killer = threading.Thread(target=kill_three)
    killer.start()
    numbers = np.broadcast_to(np.arange(N_FRAMES, dtype="f4")[:, None, None], (N_FRAMES, 6, 5))
    to_hdf5(da.from_array(numbers, chunks=(1, 6, 5)).map_blocks(slowly, dtype="f4"), path)
    killer.join()
    assert too_late == [False, False, False]
    assert_whole(path)


def slowly(block):
    time.sleep(0.05)
    return block


def test_two_workers_write_the_same_part(client, tmp_path, monkeypatch):
    path, stopped = tmp_path / "out.h5", tmp_path / "stopped"
    client.wait_for_workers(2)
    addresses = {pid: address for address, pid in client.run(os.getpid).items()}
    read, written_by = PartFolder.read, []

    def give_up_the_stopped_one():
        wait_for(lambda: stopped.exists() and stopped.read_text())
        client.run_on_scheduler(give_up, addresses[int(stopped.read_text())])

    def read_once_it_is_written_twice(folder, first, memory):
        if first == FAULTY and not written_by:
            part = folder.path / f"{FAULTY:09d}.part"
            written_by.append(part.stat().st_ino)
            (tmp_path / "given up").touch()
            os.kill(int(stopped.read_text()), signal.SIGCONT)
            wait_for((tmp_path / "written late").exists)
            written_by.append(part.stat().st_ino)
        return read(folder, first, memory)

    monkeypatch.setattr(PartFolder, "read", read_once_it_is_written_twice)
    scheduler_that_loses_it = threading.Thread(target=give_up_the_stopped_one)
    scheduler_that_loses_it.start()
    to_hdf5(frames_with(stop_before_the_part_has_its_name, tmp_path), path)
    scheduler_that_loses_it.join()
    assert len(set(written_by)) == 2
    assert_whole(path)


async def give_up(address, dask_scheduler):
    await dask_scheduler.remove_worker(address, stimulus_id="test", close=False)


def test_a_worker_is_lost_while_workers_are_asked_what_they_see(hands, client, tmp_path, monkeypatch):
    monkeypatch.setattr("flimage_dask.running.cluster._try_folder", partial(die_once, tmp_path / "died"))
    (tmp_path / "mended").touch()
    to_hdf5(frames_with(kill_always, tmp_path), tmp_path / "out.h5")
    assert (tmp_path / "died").exists()
    assert_whole(tmp_path / "out.h5")


def die_once(note, probe):
    try:
        note.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_block_kills_every_worker_that_tries_it(hands, client, tmp_path):
    """As the system does with a process that takes all memory."""
    done = threading.Event()

    def start_others():
        while not done.wait(0.2):
            if all(worker.poll() is not None for worker in hands.workers):
                hands.start_worker()

    starter = threading.Thread(target=start_others)
    starter.start()
    frames = frames_with(kill_always, tmp_path)
    try:
        with pytest.raises(
            ClusterError, match=r"a block lost 4 workers.*ran out of memory.*memory='200 MiB'"
        ) as caught:
            to_hdf5(frames, tmp_path / "out.h5")
        assert "go on with resume=True" in caught.value.__notes__[0]
        assert not (tmp_path / "out.h5").exists()
        resume(frames, tmp_path / "out.h5")
    finally:
        done.set()
        starter.join()


def test_what_failed_is_done_again_while_its_error_is_looked_at(client, tmp_path):
    failing = frames_with(fail, tmp_path)
    # Blocks that depend on each other are several tasks each, under names that both runs share.
    frames = da.concatenate([failing[:30], failing[29:30], failing[31:]]).rechunk((6, 6, 5))
    with pytest.raises(ValueError, match="not mended") as caught:
        to_hdf5(frames, tmp_path / "out.h5")
    (tmp_path / "mended").touch()
    to_hdf5(frames, tmp_path / "out.h5", resume=True)
    assert caught.value is not None
    assert values(tmp_path / "out.h5")[:, 0, 0].tolist() == [*range(30), 29, *range(31, N_FRAMES)]


def test_what_the_user_keeps_on_a_cluster_is_there_after_a_run_that_failed(client, tmp_path):
    dark = client.persist(da.full((1, 6, 5), 3.0, chunks=-1))
    less_dark = da.zeros((20, 6, 5), chunks=(5, 6, 5)) - dark
    failing = dask.delayed(fail)(tmp_path, None)
    with pytest.raises(ValueError, match="not mended"):
        to_hdf5(
            less_dark.map_blocks(lambda block, value: block, failing, dtype="f8", meta=dark._meta), tmp_path / "a.h5"
        )
    assert dark.sum().compute() == 90.0
    to_hdf5(less_dark, tmp_path / "b.h5")
    assert (values(tmp_path / "b.h5") == -3).all()


def fail(folder, mended):
    raise ValueError("not mended")


def test_a_worker_takes_more_memory_than_it_has(tmp_path):
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, memory_limit="300MB", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run_on_scheduler(allow_no_failures)
        with pytest.raises(ClusterError, match=r"a block lost 1 worker, .* ran out of memory"):
            to_hdf5(frames_with(fill_the_memory, tmp_path), tmp_path / "out.h5")
        assert not (tmp_path / "out.h5").exists()


def allow_no_failures(dask_scheduler):
    dask_scheduler.allowed_failures = 0


def test_all_workers_are_lost_and_others_come(hands, client, tmp_path, monkeypatch):
    monkeypatch.setattr("flimage_dask.running.cluster._SECONDS_UNTIL_WARNING", 0.2)
    (tmp_path / "pid").write_text(str(hands.workers[1].pid))

    def start_others():
        wait_for(lambda: all(worker.poll() is not None for worker in hands.workers[:2]))
        time.sleep(0.5)
        hands.start_worker()

    end(hands.workers[0])
    starter = threading.Thread(target=start_others)
    starter.start()
    with pytest.warns(SchedulerWarning, match="the cluster has no worker"):
        to_hdf5(frames_with(kill_once, tmp_path), tmp_path / "out.h5")
    starter.join()
    assert_whole(tmp_path / "out.h5")


def test_a_cluster_that_adapts_starts_its_first_worker(tmp_path, monkeypatch):
    monkeypatch.setattr("flimage_dask.running.cluster._SECONDS_UNTIL_WARNING", 0.01)
    with LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        cluster.adapt(minimum=0, maximum=1)
        with Client(cluster), pytest.warns(SchedulerWarning, match="the cluster has no worker"):
            to_hdf5(da.ones((4, 6, 5)), tmp_path / "out.h5")
    assert np.array_equal(values(tmp_path / "out.h5"), np.ones((4, 6, 5)))


def test_the_scheduler_is_killed(hands, tmp_path):
    (tmp_path / "pid").write_text(str(hands.scheduler.pid))
    frames = frames_with(kill_a_process, tmp_path)
    with connected(hands, timeout=3), pytest.raises(ClusterError, match="connection to the scheduler was lost"):
        to_hdf5(frames, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    hands.start_scheduler().start_workers(1)
    with connected(hands):
        resume(frames, tmp_path / "out.h5")


def test_the_scheduler_is_killed_before_the_run(hands, series_path, tmp_path):
    with connected(hands, timeout=1), FLSeries(h5file=series_path, h5mode="r") as fls:
        end(hands.scheduler)
        with pytest.raises(ClusterError, match=r"the active client, ('tcp://.*'|which is closed), does not answer"):
            fls.bleach_correction(tmp_path / "out.h5", 5)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("step", ["get_versions", "run", "nthreads"])
def test_the_scheduler_is_killed_while_workers_are_asked(hands, tmp_path, monkeypatch, step):
    asked = getattr(Client, step)

    def kill_first(client, *arguments, **options):
        if hands.scheduler.poll() is None:
            end(hands.scheduler)
            with contextlib.suppress(OSError):
                client.scheduler_info()
        return asked(client, *arguments, **options)

    with connected(hands, timeout=1):
        monkeypatch.setattr(Client, step, kill_first)
        with pytest.raises(ClusterError, match="connection to the scheduler was lost"):
            to_hdf5(da.zeros((4, 8, 8)), tmp_path / "out.h5")
    assert left_over(tmp_path) == []


RUN = """
import sys
from pathlib import Path
from distributed import Client
from flimage_dask import to_hdf5
from tests.test_faults import frames_with, kill_a_process
folder = Path(sys.argv[1])
with Client(scheduler_file=sys.argv[2]):
    (folder / "pid").write_text(str(__import__("os").getpid()))
    to_hdf5(frames_with(kill_a_process, folder), folder / "out.h5")
"""


def test_the_client_is_killed(hands, tmp_path):
    command = [sys.executable, "-c", RUN, str(tmp_path), str(hands.scheduler_file)]
    killed = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out.h5").exists()
    with connected(hands) as client:
        wait_for(lambda: not any(client.processing().values()))
        resume(frames_with(kill_a_process, tmp_path), tmp_path / "out.h5")


def test_parts_are_damaged_before_they_are_copied(client, tmp_path, monkeypatch):
    read = PartFolder.read

    def read_once_they_are_damaged(folder, *arguments):
        wait_for((tmp_path / "mended").exists)
        return read(folder, *arguments)

    monkeypatch.setattr(PartFolder, "read", read_once_they_are_damaged)
    to_hdf5(frames_with(damage_parts, tmp_path), tmp_path / "out.h5")
    assert_whole(tmp_path / "out.h5")
    damaged, made = ((tmp_path / name).read_text().split() for name in ("damaged", "computed"))
    assert len(damaged) >= 3
    # The first block was a sample too.
    assert sorted(map(int, made)) == sorted([0, *range(0, N_FRAMES, N_BLOCK), *map(int, damaged)])


def test_the_folder_of_parts_is_deleted(client, tmp_path):
    with pytest.raises(
        FileMissingError, match=r"the folder '.*\.out\.h5\.parts' .*is not there on '.*': it was removed during the"
    ):
        to_hdf5(frames_with(remove_parts, tmp_path), tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    assert left_over(tmp_path) == []


def test_the_input_is_replaced(client, tmp_path):
    path = write_series_file(tmp_path / "series.h5", *make_bleaching_frames(N_FRAMES))
    with FLSeries(h5file=path, h5mode="r") as fls:
        frames = fls.lazy(block_bytes=N_BLOCK * 24 * 30 * 4).fl.map_blocks(with_replaced_input, str(tmp_path))
        with pytest.raises(FileChangedError, match=r"'.*series\.h5' changed after its frames were indexed"):
            to_hdf5(frames, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    assert left_over(tmp_path) == []


def test_the_input_is_removed(client, tmp_path):
    path = write_series_file(tmp_path / "series.h5", *make_bleaching_frames(N_FRAMES))
    with FLSeries(h5file=path, h5mode="r") as fls:
        frames = fls.lazy(block_bytes=N_BLOCK * 24 * 30 * 4).fl.map_blocks(with_removed_input, str(tmp_path))
        with pytest.raises(FileError, match=r"'.*series\.h5' cannot be read: .*No such file") as caught:
            to_hdf5(frames, tmp_path / "out.h5")
    assert not isinstance(caught.value, ClusterError)
    assert not (tmp_path / "out.h5").exists()


def with_removed_input(block, folder):
    if len(list(Path(folder, ".out.h5.parts").glob("*.part"))) > 2:
        Path(folder, "series.h5").unlink(missing_ok=True)
    return block


def with_replaced_input(block, folder):
    if len(list(Path(folder, ".out.h5.parts").glob("*.part"))) > 2:
        with contextlib.suppress(OSError):
            replace_the_input(folder)
    return block


def write_to_the_input(folder):
    with open(Path(folder, "series.h5"), "ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("change", [replace_the_input, write_to_the_input])
@pytest.mark.parametrize("resume", [None, True])
def test_the_input_changes_while_threads_work(tmp_path, change, resume):
    path = write_series_file(tmp_path / "series.h5", *make_bleaching_frames(N_FRAMES))
    with FLSeries(h5file=path, h5mode="r") as fls, dask.config.set(scheduler="threads", num_workers=2):
        lazy = fls.lazy(block_bytes=N_BLOCK * 24 * 30 * 4).fl
        frames = lazy.map_blocks(changing_the_input, change, tmp_path, meta=lazy._meta)
        with pytest.raises(FileChangedError, match=r"'.*series\.h5' changed after its frames were indexed"):
            to_hdf5(frames, tmp_path / "out.h5", resume=resume)
    assert not (tmp_path / "out.h5").exists()
    assert left_over(tmp_path) == []


def changing_the_input(block, change, folder, block_id):
    if block_id[0] == 4:
        change(folder)
    return block


def test_a_worker_of_another_version_is_named(hands, client, tmp_path):
    preload = tmp_path / "preload.py"
    preload.write_text(
        "from distributed import versions\n"
        "def version(name, real=versions.version):\n"
        "    return '0.0.1' if name == 'flimage_dask' else real(name)\n"
        "versions.version = version\n"
        "versions._version_cached.cache_clear()\n"
    )
    hands.start_worker("--preload", preload)
    client.wait_for_workers(3)
    with pytest.raises(
        ClusterError, match=r"the worker tcp://\S+ has flimage_dask 0\.0\.1; this process has .*install the"
    ):
        to_hdf5(frames_with(kill_once, tmp_path), tmp_path / "out.h5")
    assert left_over(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill_the_disk(folder, mended):
    with contextlib.suppress(OSError), open(Path(folder, "filler"), "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def make_read_only(folder, mended):
    mended.touch()
    parts = Path(folder, ".out.h5.parts")
    subprocess.run(["mount", "--bind", parts, parts], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", parts], check=True)


def test_the_disk_is_full(client, small_disk):
    frames = frames_with(fill_the_disk, small_disk)
    with pytest.raises(FileError, match="No space left on device") as caught:
        to_hdf5(frames, small_disk / "out.h5")
    assert not (small_disk / "out.h5").exists()
    assert "resume=True" in str(caught.value) + "".join(caught.value.__notes__)
    (small_disk / "filler").unlink()
    resume(frames, small_disk / "out.h5")


FILL_A_DISK = """
import contextlib, sys
from pathlib import Path
import h5py
import numpy as np
from h5py import h5f
from flimage_dask.hdf5.output import open_output

folder, when = Path(sys.argv[1]), sys.argv[2]
try:
    with open_output(folder / "out.h5", overwrite=False) as group:
        for number in range(300):
            group.create_group(f"fli_{number}").attrs["time"] = 1.0
        with contextlib.suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        if when == "written":
            group["raw"] = np.random.default_rng(0).random((300, 300))
except OSError as error:
    print(type(error).__name__)
# HDF5 crashes here if it failed to close a file.
print([h5py.File(file) for file in h5f.get_obj_ids(h5f.OBJ_ALL, h5f.OBJ_FILE)])
"""


@pytest.mark.parametrize(("when", "error"), [("written", "OSError"), ("closed", "FileError")])
def test_hdf5_keeps_no_file_that_did_not_fit_its_disk(small_disk, when, error):
    run = subprocess.run([sys.executable, "-c", FILL_A_DISK, str(small_disk), when], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [error, "[]"]
    assert [file.name for file in small_disk.iterdir()] == ["filler"]


def test_the_folder_becomes_read_only(client, small_disk):
    frames = frames_with(make_read_only, small_disk)
    with pytest.raises(FileError, match="Read-only file system"):
        to_hdf5(frames, small_disk / "out.h5")
    assert not (small_disk / "out.h5").exists()
    subprocess.run(["umount", small_disk / ".out.h5.parts"], check=True)
    resume(frames, small_disk / "out.h5")


@pytest.fixture
def start_worker_that_sees_less(hands, client, tmp_path):
    """Return what starts a worker that does not see the folder "shared"."""
    hide = f'mount -t tmpfs tmpfs {tmp_path / "shared"} && exec "$@"'
    (tmp_path / "shared").mkdir()
    alone = ("unshare", "--mount", "sh", "-c", hide, "sh")
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this user may not hide a folder from a process")

    def start():
        hands.start_worker(before=alone)
        client.wait_for_workers(3)

    return start


@pytest.fixture
def worker_that_sees_less(start_worker_that_sees_less):
    """Start a worker that does not see the folder "shared"."""
    start_worker_that_sees_less()


@pytest.mark.usefixtures("worker_that_sees_less")
def test_a_worker_does_not_see_the_input(tmp_path):
    path = write_series_file(tmp_path / "shared" / "series.h5", *make_bleaching_frames(N_FRAMES))
    message = r"the worker tcp://\S+ on '.*' cannot read '.*shared/series\.h5' \(No such file.*file system that all"
    with FLSeries(h5file=path, h5mode="r") as fls:
        for work in (
            lambda: fls.estimate_bleaching(5),
            lambda: fls.bleach_correction(tmp_path / "out.h5", 5),
            fls.intensities,
        ):
            with pytest.raises(ClusterError, match=message):
                work()
    assert left_over(tmp_path) == []


@pytest.mark.usefixtures("worker_that_sees_less")
def test_a_worker_does_not_see_the_file_system(tmp_path):
    with pytest.raises(
        ClusterError, match=r"the worker tcp://\S+ on '.*' does not see the folder '.*shared.*file system that all"
    ):
        to_hdf5(frames_with(kill_once, tmp_path / "shared"), tmp_path / "shared" / "out.h5")
    assert left_over(tmp_path / "shared") == []


def after_the_late_worker_came(block, folder):
    if block[0, 0, 0] > 3 * N_BLOCK:
        wait_for(Path(folder, "late").exists)
    return block


def test_a_worker_that_comes_during_the_run_does_not_see_the_file_system(start_worker_that_sees_less, tmp_path):
    folder = tmp_path / "shared"

    def start_late():
        wait_for(lambda: len(list((folder / ".out.h5.parts").glob("*.part"))) > 2)
        start_worker_that_sees_less()
        (tmp_path / "late").touch()

    numbers = np.broadcast_to(np.arange(N_FRAMES, dtype="f4")[:, None, None], (N_FRAMES, 6, 5))
    frames = da.from_array(numbers, chunks=(N_BLOCK, 6, 5))
    frames = frames.map_blocks(after_the_late_worker_came, str(tmp_path), dtype="f4")
    starter = threading.Thread(target=start_late)
    starter.start()
    with pytest.raises(ClusterError, match=r"the worker tcp://\S+ on '.*' does not see the folder '.*shared") as caught:
        to_hdf5(frames, folder / "out.h5")
    starter.join()
    assert isinstance(caught.value.__cause__, FileMissingError)
    assert "resume=True" in caught.value.__notes__[0]
