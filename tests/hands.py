"""A scheduler and workers started by hand, as the pages about clusters say, on the loopback of this machine."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DASK = (sys.executable, "-m", "dask")


class HandStartedCluster:
    """Processes of a cluster that a test may kill, stop and start."""

    def __init__(self, folder):
        self._folder = Path(folder)
        self._number = 0
        self.scheduler = None
        self.workers = []

    def __enter__(self):
        self.start_scheduler()
        return self

    def __exit__(self, *exception):
        for process in [*self.workers, self.scheduler]:
            end(process)

    def start_scheduler(self):
        """Start a scheduler on a free port of the loopback."""
        end(self.scheduler)
        self._number += 1
        file = self._folder / f"scheduler-{self._number}.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                                     "--scheduler-file", file)  # fmt: skip
        self.scheduler_file = file
        wait_for(file.exists)
        return self

    def start_worker(self, *options, before=()):
        """Start a worker of one thread, and return its process."""
        number = len(self.workers)
        worker = self._start(
            "worker", "--scheduler-file", self.scheduler_file, "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--host", "127.0.0.1", "--local-directory", self._folder / f"scratch-{number}", *options, before=before,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def start_workers(self, n):
        """Start several."""
        for _ in range(n):
            self.start_worker()
        return self

    def _start(self, *arguments, before=()):
        with open(self._folder / f"{arguments[0]}-{len(self.workers)}.log", "ab") as log:
            command = [*before, *DASK, *map(str, arguments)]
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def end(process):
    """End a process and what it started, even if it is stopped."""
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(condition, seconds=60):
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited {seconds} s in vain"
        time.sleep(0.02)
