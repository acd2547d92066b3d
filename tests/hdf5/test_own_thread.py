"""Requests that h5py waits for do not wait for h5py."""

import gc
import threading
import time

import fsspec
from fsspec.asyn import get_loop
from h5py._objects import phil

from flimage_dask.hdf5.own_thread import in_own_thread, no_garbage_collection
from flimage_dask.hdf5.remote import RemoteFile, RemoteHandle


def test_a_handle_is_read_while_the_thread_of_fsspec_waits_for_h5pys_lock(web):
    """As it does when it collects an HDF5 object."""
    web.files["a"] = b"content"
    handle = RemoteHandle(RemoteFile.at(web.url + "a"))
    found = []

    def wait_for_lock():
        with phil:
            pass

    def read():
        with phil:
            get_loop().call_soon_threadsafe(wait_for_lock)
            time.sleep(0.1)
            found.append(handle.read(7))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(timeout=20)

    assert found == [b"content"]


def test_a_file_system_without_threads_is_left_as_it_is():
    filesystem = fsspec.filesystem("memory")
    assert in_own_thread(filesystem) is filesystem


def test_a_file_system_keeps_its_options():
    filesystem = fsspec.filesystem("http", headers={"X": "y"})
    apart = in_own_thread(filesystem)

    assert apart.loop is not filesystem.loop
    assert apart.kwargs["headers"] == {"X": "y"}


def test_garbage_is_collected_again_after_a_request():
    with no_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with no_garbage_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
