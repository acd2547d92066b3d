"""Requests that h5py waits for, kept apart from the garbage collector.

h5py holds its lock while it reads a file object. fsspec answers from a thread that it shares among all. If
the collector, in that thread, meets an HDF5 object, it waits for the lock, and both wait forever:
https://github.com/h5py/h5py/issues/2019. So what h5py asks for is fetched by a thread of its
own, in which nothing is collected meanwhile.
"""

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from fsspec.asyn import AsyncFileSystem


def in_own_thread(filesystem: Any) -> Any:
    """Return a file system like another one, whose requests run in a thread of their own if they run in any."""
    if not isinstance(filesystem, AsyncFileSystem):
        return filesystem
    options = {**filesystem.storage_options, "loop": _own_loop(), "skip_instance_cache": True}
    return type(filesystem)(*filesystem.storage_args, **options)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect no garbage until the request in this block is answered; h5py's lock lets in one at a time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        _settle()
        if was_enabled:
            gc.enable()


@cache
def _own_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="flimage_dask-remote", daemon=True).start()
    return loop


def _settle() -> None:
    """Wait until the thread has also done what it does after an answer."""
    for _ in range(2):
        idle = threading.Event()
        _own_loop().call_soon_threadsafe(idle.set)
        idle.wait()
