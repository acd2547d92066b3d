"""Ctrl-C: the first one stops a run in order, which may take some seconds, the second one ends the process."""

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import Self, TypeVar

_Resource = TypeVar("_Resource")

_SECONDS_BEFORE_AGAIN = 0.05


class StoppingInOrder:
    """Raise `KeyboardInterrupt` at the first Ctrl-C; at the second one, end at once.

    Who handles interrupts in another way already, or runs commands in another thread, is left alone.

    Parameters
    ----------
    end_at_once
        Ends the process.
    """

    def __init__(self, end_at_once: Callable[[], None]) -> None:
        self._end_at_once = end_at_once
        self._is_in_charge = False
        self._tell_of_ignored = sys.unraisablehook
        self._repeats: list[threading.Timer] = []

    def __enter__(self) -> Self:
        is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._is_in_charge = is_default and threading.current_thread() is threading.main_thread()
        if self._is_in_charge:
            self._tell_of_ignored = sys.unraisablehook
            sys.unraisablehook = self._interrupt_again
            signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._is_in_charge:
            for repeat in self._repeats:
                repeat.cancel()
            sys.unraisablehook = self._tell_of_ignored
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, self._end)
        signal.default_int_handler(number, frame)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._end_at_once()

    def _interrupt_again(self, ignored: "sys.UnraisableHookArgs") -> None:
        """Repeat an interrupt that was lost: Python drops what is raised while it removes an object."""
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            self._tell_of_ignored(ignored)
            return
        signal.signal(signal.SIGINT, self._stop)
        repeat = threading.Timer(_SECONDS_BEFORE_AGAIN, _thread.interrupt_main)
        repeat.daemon = True
        repeat.start()
        self._repeats.append(repeat)


@contextmanager
def out_of_reach_of_interrupts(start: Callable[[], AbstractContextManager[_Resource]]) -> Iterator[_Resource]:
    """Enter what starts processes so that Ctrl-C, which a terminal sends to all of them, reaches this process alone.

    An interrupt before they are there is raised once they are, since only then they can be stopped in order.

    Parameters
    ----------
    start
        Starts the processes, and returns what stops them on exit.
    """
    with ThreadPoolExecutor(1, initializer=_block_interrupts) as starter:
        starting = starter.submit(start)
        try:
            resource = starting.result()
        except KeyboardInterrupt:
            with starting.result():
                raise
    with resource as entered:
        yield entered


def _block_interrupts() -> None:
    """Let this thread have no interrupts, nor any thread or process that it starts."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return
    # Were it started later, it would lift the mask again.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
