"""Figures of a run on a cluster: ``python -m tests.benchmarks.cluster`` (speed cores assembly growth memory …).

Everything runs on this machine: workers are processes with one thread each, on the loopback. Without a name all
experiments run, in half an hour or more; ``--kills`` is the number of runs in which somebody is killed, by default 50
workers and 20 clients, ``--cores`` names the numbers of threads and of workers that are compared.
"""

import argparse
import logging
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import dask
import dask.array as da
import numpy as np
import psutil
from distributed import Client, LocalCluster

from flimage_dask import FLSeries, to_hdf5
from flimage_dask.hdf5.parts import PartFolder
from flimage_dask.lazy.remembered_estimates import forget
from flimage_dask.running.assembly import Assembly

from ..hands import HandStartedCluster
from .bench import FULL, Bench
from .data import Recipe
from .machine import Machine
from .measure import Turns, alias, in_turns, tell
from .peers.codec import CodecAlone

_MIDDLE = Recipe("integer", 512, 1000)
_SHORT = Recipe("integer", 512, 100)
_KILLED_WORKERS, _KILLED_CLIENTS = 50, 20


@contextmanager
def cluster(n_workers=2, **options):
    """Start workers of one thread."""
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            **options,
        ) as started,
        Client(started) as client,
    ):
        yield client


def correct(source, target, **options):
    """Correct a series that nothing is remembered of."""
    forget()
    with FLSeries(h5file=source, h5mode="r") as fls:
        fls.bleach_correction(target, progress=False, **options)


def frames_of(path):
    """Return all frames of a file, computed by threads."""
    with FLSeries(h5file=path, h5mode="r") as fls, dask.config.set(scheduler="threads"):
        return fls.raw_fl.compute()


def speed(bench, options):
    """Compare two processes with two threads."""
    source = bench.series(_MIDDLE)
    with cluster() as client:

        def by_processes(scratch):
            client.run(forget)
            return lambda: correct(alias(source, scratch), scratch / "out.h5")

        def by_threads(scratch):
            def run():
                with dask.config.set(scheduler="threads", num_workers=2):
                    correct(alias(source, scratch), scratch / "out.h5")

            return run

        times = in_turns({"2 processes": by_processes, "2 threads": by_threads}, bench.n_turns, bench.folder)
    for name, seconds in times.items():
        show("speed", name, seconds.as_rate(_MIDDLE.n_bytes / 1e6), "MB/s")
    show("speed", "processes / threads", times["2 threads"].over(times["2 processes"]), "goal 0.85")


def cores(bench, options):
    """Compare more and more threads, and as many workers, with the codec alone in as many threads."""
    source = bench.series(_MIDDLE)
    bench.forget_corrected()
    corrected = bench.corrected(_MIDDLE)

    def by_threads(n, scratch):
        def run():
            with dask.config.set(scheduler="threads", num_workers=n):
                correct(alias(source, scratch), scratch / "out.h5")

        return run

    def by_processes(client, scratch):
        client.run(forget)
        return lambda: correct(alias(source, scratch), scratch / "out.h5")

    for n in options.cores:
        codec = CodecAlone(source, corrected, n)
        jobs = {"codec alone": lambda scratch, codec=codec: codec.both, "threads": partial(by_threads, n)}
        with cluster(n) as client:
            times = in_turns(jobs | {"processes": partial(by_processes, client)}, bench.n_turns, bench.folder)
        for name, seconds in times.items():
            show("cores", f"{n:2} {name}", seconds.as_rate(_MIDDLE.n_bytes / 1e6), "MB/s")


def assembly(bench, options):
    """Measure what is left to do once the last part is there, and how fast parts are copied."""
    source = bench.series(_MIDDLE)
    shares, beside, alone, written, copied = [], [], [], [], []
    with cluster():
        for _ in range(bench.n_turns):
            with TemporaryDirectory(dir=bench.folder) as scratch, copying() as lines:
                target = Path(scratch) / "out.h5"
                start = time.perf_counter()
                correct(alias(source, Path(scratch)), target)
                whole = time.perf_counter() - start
                last, filled, rate = figures_of(lines[-1])
                shares.append((filled - last) / whole)
                beside.append(rate)
                target.unlink()
                stopped_before_a_part_is_copied(source, target)
                correct(source, target, resume=True)
                alone.append(figures_of(lines[-1])[-1])
                for rates, rate in zip((written, copied), disk_alone(Path(scratch)), strict=True):
                    rates.append(rate)
    show("assembly", "share of the run after the last part", Turns(tuple(shares)).times(100), "% (goal 10)")
    show("assembly", "parts are copied, beside two workers", Turns(tuple(beside)), "MB/s")
    show("assembly", "parts are copied, once all are there", Turns(tuple(alone)), "MB/s")
    show("assembly", "a file is copied, and brought to the disk", Turns(tuple(copied)), "MB/s")
    show("assembly", "a file is written, and brought to the disk", Turns(tuple(written)), "MB/s")
    show("assembly", "copying parts / copying a file", Turns(tuple(alone)).over(Turns(tuple(copied))), "of its speed")


@contextmanager
def copying():
    """Collect what runs tell of copying."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log = logging.getLogger("flimage_dask.running.assembly")
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield lines
    log.removeHandler(handler)


def figures_of(line):
    """Return when the last part came and when the output was filled [s], and how fast parts were copied [MB/s]."""
    last, filled, _, rate = map(float, re.findall(r"[\d.]+(?= )", line)[:4])
    return last, filled, rate


def stopped_before_a_part_is_copied(source, target):
    """Correct a series, but leave all of its parts."""

    class StoppedError(Exception):
        """All parts are there."""

    def finish(assembly):
        raise StoppedError

    with suppress(StoppedError), patch.object(Assembly, "add"), patch.object(Assembly, "finish", finish):
        correct(source, target)


def disk_alone(scratch):
    """Write as many bytes as an output has, then copy them in pieces as large as a part; return both rates [MB/s]."""
    content, n_piece = np.random.default_rng(0).bytes(400_000_000), 6_000_000
    raw, copy = scratch / "raw", scratch / "copy"
    start = time.perf_counter()
    with open(raw, "wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    middle = time.perf_counter()
    with open(raw, "rb") as source, open(copy, "wb") as file:
        while piece := source.read(n_piece):
            file.write(piece)
        os.fsync(file.fileno())
    end = time.perf_counter()
    return len(content) / 1e6 / (middle - start), len(content) / 1e6 / (end - middle)


def growth(bench, options):
    """Measure time and memory of client and scheduler for more and more blocks of one tiny frame."""
    for n_blocks in (1_000, 10_000, 100_000):
        command = [sys.executable, "-m", "tests.benchmarks.cluster", "one-growth", "--blocks", str(n_blocks)]
        found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
        print(found.stdout, end="", flush=True)


def one_growth(bench, options):
    """Write blocks of one frame each, in a fresh process."""
    n_blocks = options.blocks
    # What a row of small blocks costs, all of it: a frame of real size is far above it.
    frames = da.from_array(Zeros(n_blocks), chunks=(1, -1, -1), asarray=False).map_blocks(np.add, 1, dtype="f4")
    with TemporaryDirectory(dir=options.folder) as scratch, cluster() as client:
        scheduler = client.cluster.scheduler
        peaks = Peaks({"client and scheduler": [os.getpid()], "workers": list(client.run(os.getpid).values())})
        numbers = []
        with Watch(peaks.look, 0.05), Watch(lambda: numbers.append(len(scheduler.tasks)), 0.1):
            start = time.perf_counter()
            to_hdf5(frames, Path(scratch) / "out.h5", progress=False)
            seconds = time.perf_counter() - start
    sizes = ", ".join(f"{name} {peak / 1e6:.0f} MB" for name, peak in peaks.of.items())
    print(
        f"growth     {n_blocks:>7,} blocks: {1e3 * seconds / n_blocks:.2f} ms a block, at most {max(numbers)} tasks "
        f"with the scheduler; peak of {sizes}"
    )


class Zeros:
    """Tiny frames that take no time to read."""

    ndim, dtype = 3, np.dtype("f4")

    def __init__(self, n_frames):
        self.shape = n_frames, 8, 8

    def __getitem__(self, part):
        return np.zeros([len(range(size)[places]) for size, places in zip(self.shape, part, strict=True)], self.dtype)


class Watch:
    """Something that is looked at again and again while a run goes on."""

    def __init__(self, look, seconds):
        self._look = look
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join()

    def _go_on(self):
        while not self._stop.wait(self._seconds):
            self._look()


class Peaks:
    """The largest resident memory of some processes."""

    def __init__(self, pids):
        self._pids = pids
        self.of = dict.fromkeys(pids, 0)

    def look(self):
        """Look at all of them; one that has ended counts no more."""
        for name, pids in self._pids.items():
            for pid in pids:
                with suppress(psutil.NoSuchProcess):
                    self.of[name] = max(self.of[name], psutil.Process(pid).memory_info().rss)


def memory(bench, options):
    """Compare the peak memory of client, scheduler and workers with that for an eighth of the frames."""
    peaks = {}
    for n_frames in (_MIDDLE.n_frames, 8 * _MIDDLE.n_frames):
        source = bench.series(Recipe("integer", 512, n_frames))
        with HandStarted(bench.folder) as (hands, _), TemporaryDirectory(dir=bench.folder) as scratch:
            workers_of = [worker.pid for worker in hands.workers]
            # The client is a process of its own, so that nothing of this one is measured.
            code = (
                "import sys; from distributed import Client; from tests.benchmarks.cluster import correct\n"
                "with Client(scheduler_file=sys.argv[1]): correct(sys.argv[2], sys.argv[3])"
            )
            command = [
                sys.executable,
                "-c",
                code,
                str(hands.scheduler_file),
                str(source),
                str(Path(scratch) / "out.h5"),
            ]
            process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
            found = Peaks({"client": [process.pid], "scheduler": [hands.scheduler.pid], "worker": workers_of})
            with Watch(found.look, 0.05):
                if process.wait():
                    raise RuntimeError("the client failed")
            peaks[n_frames] = found.of
    short, long = peaks.values()
    for name, goal in (("client", 1.1), ("scheduler", 1.5), ("worker", 1.1)):
        print(
            f"memory     {name:10} {short[name] / 1e6:.0f} MB for {_MIDDLE.n_frames:,} frames, "
            f"{long[name] / 1e6:.0f} MB for 8 times as many: {long[name] / short[name]:.2f}x (goal {goal})"
        )


class HandStarted:
    """A scheduler and two workers as processes of their own."""

    def __init__(self, folder):
        self._folder = folder

    def __enter__(self):
        self._scratch = TemporaryDirectory(dir=self._folder)
        self._cluster = HandStartedCluster(self._scratch.name).__enter__().start_workers(2)
        self._client = Client(scheduler_file=str(self._cluster.scheduler_file))
        self._client.wait_for_workers(2)
        return self._cluster, self._client

    def __exit__(self, *exception):
        self._client.close()
        self._cluster.__exit__()
        self._scratch.cleanup()


def workers(bench, options):
    """Kill a worker at a random moment of each run; runs that end before do not count."""
    source = bench.series(_SHORT)
    chance = random.Random(0)
    n_wanted = options.kills or _KILLED_WORKERS
    n_right = n_runs = n_killed = 0
    with TemporaryDirectory(dir=bench.folder) as scratch:
        reference, target = Path(scratch) / "reference.h5", Path(scratch) / "out.h5"
        correct(source, reference)
        expected = frames_of(reference)
        # Workers without a nanny: what starts them anew is this loop, and nothing else.
        with HandStarted(bench.folder) as (hands, client):
            correct(source, target)
            start = time.perf_counter()
            correct(source, target, overwrite=True)
            usual = time.perf_counter() - start
            while n_killed < n_wanted:
                alive = [worker for worker in hands.workers if worker.poll() is None]
                alive += [hands.start_worker() for _ in range(2 - len(alive))]
                client.wait_for_workers(2, timeout=60)
                killer = threading.Timer(chance.uniform(0, usual), chance.choice(alive).kill)
                killer.start()
                correct(source, target, overwrite=True)
                n_killed += not killer.is_alive()
                n_runs += 1
                killer.cancel()
                killer.join()
                n_right += np.array_equal(frames_of(target), expected) and not PartFolder.of(target).exists()
                tell(f"    {n_killed} killed in {n_runs} runs, {n_right} right")
    print(f"workers    {n_right} of {n_runs} runs right; a worker was killed at a random moment of {n_killed}")


def clients(bench, options):
    """Kill the client at a random moment of each run, and go on; runs that end before do not count."""
    source = bench.series(_SHORT)
    chance = random.Random(1)
    n_wanted = options.kills or _KILLED_CLIENTS
    n_right = n_runs = n_killed = n_resumed = n_again = 0
    code = (
        "import sys; from distributed import Client; from tests.benchmarks.cluster import correct\n"
        "with Client(sys.argv[1]): correct(sys.argv[2], sys.argv[3])"
    )
    with TemporaryDirectory(dir=bench.folder) as scratch:
        reference = Path(scratch) / "reference.h5"
        correct(source, reference)
        expected = frames_of(reference)
        with cluster() as client:
            while n_killed < n_wanted and n_runs < 2 * n_wanted:
                target = Path(scratch) / f"{n_runs}.h5"
                parts = PartFolder.of(target)
                command = [sys.executable, "-c", code, client.scheduler.address, str(source), str(target)]
                process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)
                n_parts = chance.randrange(0, 40)
                while process.poll() is None and (not parts.exists() or len(parts.finished()) < n_parts):
                    time.sleep(0.002)
                process.kill()
                # One that has published its output was only about to end.
                n_killed += process.wait() == -signal.SIGKILL and not target.exists()
                n_runs += 1
                while any(client.processing().values()):
                    time.sleep(0.02)
                before = stamps(parts)
                n_resumed += bool(before)
                seen = {}
                with Watch(lambda parts=parts, seen=seen: seen.update(stamps(parts)), 0.002):
                    correct(source, target, resume=True, overwrite=True)
                n_again += sum(seen.get(first, stamp) != stamp for first, stamp in before.items())
                n_right += np.array_equal(frames_of(target), expected) and not parts.exists()
                target.unlink()
                tell(f"    {n_killed} killed in {n_runs} runs, {n_right} right")
    print(
        f"clients    {n_right} of {n_runs} runs right; the client was killed at a random moment of {n_killed}; "
        f"{n_resumed} went on with finished blocks, of which {n_again} were done again"
    )


def stamps(parts):
    """Return which finished parts are there, and when they were written; the folder may be on its way out."""
    found = {}
    with suppress(FileNotFoundError):
        for first in parts.finished():
            found[first] = (parts.path / f"{first:09d}.part").stat().st_mtime_ns
    return found


def show(experiment, name, turns, unit):
    """Print the median and the range of some turns."""
    print(f"{experiment:10} {name:42} {turns.median:8.3g}  ({turns.low:.3g} to {turns.high:.3g}) {unit}", flush=True)


EXPERIMENTS = {
    "speed": speed,
    "cores": cores,
    "assembly": assembly,
    "growth": growth,
    "memory": memory,
    "workers": workers,
    "clients": clients,
}


def main():
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cluster", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(EXPERIMENTS))
    parser.add_argument("--kills", type=int, help="runs in which a worker is killed (50), or a client (20)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of what is timed")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2], help="threads, and workers, to compare")
    parser.add_argument("--blocks", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="keep the data here for another run")
    options = parser.parse_args()
    if options.names == ["one-growth"]:
        one_growth(None, options)
        return
    tell(str(Machine.here()))
    with TemporaryDirectory(prefix="benchmark_") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder.resolve(), FULL, options.repeats)
        for name in options.names or EXPERIMENTS:
            EXPERIMENTS[name](bench, options)


if __name__ == "__main__":
    main()
