"""Scheduler and client on one machine, workers on another, encrypted: two network namespaces and a shared folder."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from uuid import uuid4

import numpy as np
import pytest

from flimage_dask import FLSeries

from .conftest import make_bleaching_frames, write_series_file
from .hands import DASK, end, wait_for
from .test_cluster import values

HERE, THERE = "10.214.0.1", "10.214.0.2"
PORT = 8786


@pytest.fixture
def machines():
    """Make two network namespaces that reach each other and nothing else; return their names."""
    if shutil.which("ip") is None:
        pytest.skip("there is no command 'ip' to make network namespaces with")
    mark = uuid4().hex[:6]
    names = [f"here_{mark}", f"there_{mark}"]
    commands = [
        f"netns add {names[0]}",
        f"netns add {names[1]}",
        f"link add h{mark} netns {names[0]} type veth peer name t{mark} netns {names[1]}",
        f"-n {names[0]} addr add {HERE}/24 dev h{mark}",
        f"-n {names[1]} addr add {THERE}/24 dev t{mark}",
        *(f"-n {name} link set {link} up" for name, link in zip(names, (f"h{mark}", f"t{mark}"), strict=True)),
        *(f"-n {name} link set lo up" for name in names),
    ]
    try:
        for command in commands:
            if subprocess.run(["ip", *command.split()], capture_output=True).returncode:
                pytest.skip("this user may not make network namespaces")
        yield [("ip", "netns", "exec", name) for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.fixture
def keys(tmp_path):
    """Make a key and a certificate that signs itself; return the options of a process that uses them."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no command 'openssl' to make certificates with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=flimage"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return {"ca-file": certificate, "cert": certificate, "key": key}


def correct(machine, source, target, environment, scheme="tls"):
    code = "from flimage_dask.cli import main; main()"
    command = [*machine, sys.executable, "-c", code, "correct", source, target, "--border", "5"]
    command += ["--scheduler", f"{scheme}://{HERE}:{PORT}"]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, env={**os.environ, **environment})


def test_workers_on_another_machine_do_the_work_over_tls(machines, keys, tmp_path):
    here, there = machines
    source = write_series_file(tmp_path / "series.h5", *make_bleaching_frames(60))
    options = [part for name, value in keys.items() for part in (f"--tls-{name}", str(value))]
    as_client = {
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(keys["ca-file"]),
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": str(keys["cert"]),
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": str(keys["key"]),
    }
    with ExitStack() as stack:

        def start(machine, *arguments):
            log = stack.enter_context(open(tmp_path / f"{arguments[0]}.log", "ab"))
            command = [*machine, *DASK, *arguments, *options]
            stack.callback(end, subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))

        start(here, "scheduler", "--host", HERE, "--port", str(PORT), "--protocol", "tls", "--no-dashboard")
        start(there, "worker", f"tls://{HERE}:{PORT}", "--host", THERE, "--protocol", "tls", "--nthreads", "2",
              "--no-dashboard", "--local-directory", str(tmp_path / "scratch"))  # fmt: skip
        wait_for(lambda: f"tls://{THERE}:" in (tmp_path / "scheduler.log").read_text())

        open_client = correct(here, source, tmp_path / "refused.h5", {}, scheme="tcp")
        assert open_client.returncode == 1
        assert "no scheduler answers" in open_client.stderr
        done = correct(here, source, tmp_path / "out.h5", as_client)
        assert done.returncode == 0, done.stderr
    with FLSeries(h5file=source, h5mode="r") as fls:
        assert np.array_equal(values(tmp_path / "out.h5"), fls.bleach_corrected(5).compute())
