"""Estimates of bleaching that are made once: remembered in this process, and shared by lazy arrays."""

import threading
from collections import OrderedDict
from typing import Any
from weakref import WeakValueDictionary

import dask
from dask.base import tokenize
from dask.delayed import Delayed

from ..correction.bleaching import BleachingEstimate
from ..notices import BleachingWarning, warn
from ..running.scheduling import ThisProcess
from .block_runner import BlockRunner
from .estimation import EstimateRequest, estimate
from .frame_source import FrameSource

_KEPT_ESTIMATES = 16
_kept: OrderedDict[str, BleachingEstimate] = OrderedDict()
_locks: "WeakValueDictionary[str, Any]" = WeakValueDictionary()
# Held for a moment only: estimates of other frames need not wait for one that is being made.
_kept_lock = threading.Lock()


def estimate_once(source: FrameSource, request: EstimateRequest, runner: BlockRunner) -> BleachingEstimate:
    """Estimate the bleaching of a series, or return the estimate made before for the same file and request.

    Warns
    -----
    BleachingWarning
        Of what needs a look, each time anew.
    """
    found = _known_or_new(source, request, runner)
    for text in found.warnings:
        warn(text, BleachingWarning)
    return found


def _known_or_new(source: FrameSource, request: EstimateRequest, runner: BlockRunner) -> BleachingEstimate:
    name = name_of(source, request)
    with _lock_of(name):
        with _kept_lock:
            found = _kept.get(name)
        if found is not None:
            runner.on_frames(2 * len(request.times))
            return found
        found = estimate(source, request, runner)
        if source.shows_changes:
            remember(name, found)
        return found


def _lock_of(name: str) -> Any:
    """Return what keeps an estimate from being made twice at a time, for as long as somebody makes it."""
    with _kept_lock:
        return _locks.setdefault(name, threading.RLock())


def remember(name: str, found: BleachingEstimate) -> None:
    """Keep an estimate for whoever asks for that of the same frames again; see `name_of`."""
    with _kept_lock:
        _kept[name] = found
        if len(_kept) > _KEPT_ESTIMATES:
            _kept.popitem(last=False)


def forget() -> None:
    """Remember none of the estimates made until now."""
    with _kept_lock:
        _kept.clear()


def lazy_estimate(source: FrameSource, request: EstimateRequest) -> Delayed:
    """Return an estimate as one lazy value, which all arrays with the same request share."""
    task = dask.delayed(_estimate_in_task)
    return task(source, request, dask_key_name=name_of(source, request))


def name_of(source: FrameSource, request: EstimateRequest) -> str:
    """Name the estimate of a source: equal for equal frames and requests, in any process."""
    return f"bleaching-estimate-{tokenize(source.token, request)}"


def _estimate_in_task(source: FrameSource, request: EstimateRequest) -> BleachingEstimate:
    # A task cannot wait for other tasks of its own scheduler; threads of its own do no harm.
    return estimate_once(source, request, BlockRunner(workers=ThisProcess(scheduler="threads")))
