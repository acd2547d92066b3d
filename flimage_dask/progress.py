"""Show how far a long computation has come: blocks done, rate and time left."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from tqdm.auto import tqdm


class Progress(Protocol):
    """Anything that can be told of frames that are done."""

    def advance(self, n_frames: int) -> None:
        """Take note of frames that are done; from any thread."""
        ...


@contextmanager
def track(
    n_frames: int, doing: str, show: bool | None, *, frame_bytes: int | None = None, delay: float = 0.0
) -> Iterator[Progress]:
    """Show a bar while frames are done.

    Parameters
    ----------
    n_frames
        Number of frames to come.
    doing
        What is done, in one word.
    show
        None shows a bar in a terminal and in a notebook, and nothing where the output is piped.
    frame_bytes
        Uncompressed size of one frame, for the rate in MB/s.
    delay
        Time after which the bar appears, if there is anything left to do then [s].
    """
    visible = _somebody_watches() if show is None else show
    bar = _Bar(total=n_frames, desc=doing, unit=" frames", disable=not visible, dynamic_ncols=True, delay=delay)
    shown = _Shown(bar, frame_bytes)
    try:
        yield shown
    finally:
        bar.close()


class _Bar(tqdm):  # type: ignore[type-arg]
    """A bar without tqdm's monitoring thread, which would outlive the computation."""

    monitor_interval = 0


class _Shown:
    def __init__(self, bar: _Bar, frame_bytes: int | None) -> None:
        self._bar = bar
        self._frame_bytes = frame_bytes
        self._lock = threading.Lock()

    def advance(self, n_frames: int) -> None:
        """Take note of frames that are done."""
        with self._lock:
            self._bar.update(n_frames)
            rate = self._bar.format_dict["rate"]
            if rate and self._frame_bytes:
                self._bar.set_postfix_str(f"{rate * self._frame_bytes / 1e6:.0f} MB/s", refresh=False)


def _somebody_watches() -> bool:
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return type(running).__name__ == "ZMQInteractiveShell"


def ignore_progress(n_frames: int) -> None:
    """Listen to progress on behalf of nobody."""


def both(first: Callable[[int], None], second: Callable[[int], None]) -> Callable[[int], None]:
    """Return what tells two listeners of progress."""

    def advance(n_frames: int) -> None:
        first(n_frames)
        second(n_frames)

    return advance


class SharedCounter(Protocol):
    """A number that another process watches, such as `multiprocessing.Value`."""

    value: int


def counting(count: SharedCounter | None, max_count: SharedCounter | None, n_steps: int) -> Callable[[int], None]:
    """Announce a number of steps, and return what counts them."""
    if max_count is not None:
        max_count.value += n_steps
    lock = threading.Lock()

    def advance(n_done: int) -> None:
        if count is not None:
            with lock:
                count.value += n_done

    return advance
