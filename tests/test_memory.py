import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from flimage_dask import memory
from flimage_dask.memory import peak_memory


def test_the_peak_covers_what_was_freed_again():
    held = np.ones(25_000_000)
    del held
    assert peak_memory() > 200_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands a peak on")
def test_the_peak_of_a_parent_is_not_that_of_its_child():
    held = np.ones(50_000_000)
    code = "from flimage_dask.memory import peak_memory; print(peak_memory())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(child.stdout) < held.nbytes


@pytest.mark.parametrize(("system", "expected"), [("linux", 5 * 1024), ("darwin", 5)])
def test_the_unit_of_the_system_is_minded(monkeypatch, tmp_path, system, expected):
    usage = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: SimpleNamespace(ru_maxrss=5))
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "absent")
    monkeypatch.setattr(memory, "sys", SimpleNamespace(platform=system))
    monkeypatch.setitem(sys.modules, "resource", usage)
    assert peak_memory() == expected


def test_windows_is_asked_through_psutil(monkeypatch, tmp_path):
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=7))
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "absent")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(Process=lambda: process))
    assert peak_memory() == 7


REUSE = """
import resource
import numpy as np
from flimage_dask import memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
afresh = faults()
memory.{function}()
faults()
print(faults() / afresh)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have no such limits")
@pytest.mark.parametrize(
    ("function", "is_reused"), [("reuse_freed_memory", False), ("reuse_freed_memory_as_a_worker", True)]
)
def test_memory_that_was_to_be_given_back_is_reused_by_workers_only(function, is_reused):
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    code = REUSE.format(function=function)
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (float(found.stdout) < 0.1) == is_reused
