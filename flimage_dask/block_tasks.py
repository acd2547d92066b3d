"""Tasks that apply a function to blocks of frames, made some at a time, so that no graph grows with the series."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
from dask.blockwise import Blockwise
from dask.core import get_dependencies
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class _Call:
    """What all tasks share.

    dask takes apart what it finds in tuples. It has a name of its own for every run: what a function does besides
    its result must be done again.
    """

    function: Callable[..., Any]
    starts: NDArray[np.int64]
    arguments: tuple[Any, ...]
    name: str = field(default_factory=lambda: uuid4().hex)

    def __dask_tokenize__(self) -> str:
        return self.name


class BlockTasks:
    """A function to be applied to blocks.

    Parameters
    ----------
    frames
        Lazy frames (frame, y, x) in blocks of whole frames.
    function, arguments
        Called as ``function(block, first, *arguments)``, where `first` is the position of the first frame
        of the block.
    keep
        Computes lazy values and keeps them, as `dask.persist` does.
    """

    def __init__(
        self,
        frames: da.Array,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keep: Callable[[list[Delayed]], list[Delayed]],
    ) -> None:
        starts = np.cumsum((0, *frames.chunks[0]))
        (call,) = keep([dask.delayed(_Call(function, starts, arguments), traverse=False)])
        self._results = frames.map_blocks(_apply, call, dtype=object, meta=np.empty((0, 0, 0), object))
        # Where blocks depend on each other, tasks of another group would be fused in another way, under the
        # same names.
        self._may_be_fused = _is_blockwise(frames)

    def of(self, numbers: list[int]) -> list[Delayed]:
        """Return the results for some blocks of frames as lazy values, ready to be computed as they are.

        Everything that leads to a result is one task, if blocks do not depend on each other. On a cluster those of
        the first frames come first; by itself dask takes blocks in the order of their names, from the end.
        """
        name, (keys, tasks) = self._results.name, self._tasks(numbers)
        priorities = {key: -number for key, number in _first_block_of(tasks, keys).items()}
        layer = MaterializedLayer(tasks, annotations={"priority": priorities.__getitem__})
        of_one_layer = HighLevelGraph({name: layer}, {name: set()})
        return [Delayed(key, of_one_layer, layer=name) for key in keys]

    def in_turn(self) -> Delayed:
        """Return the list of the results for all blocks as one lazy value, for which they are taken in turn.

        A chain of empty tasks, each behind one block, gives them their order where priorities are not heeded.
        """
        name = f"in-turn-{self._results.name}"
        keys, tasks = self._tasks(range(self._results.numblocks[0]))
        last = None
        for number, key in enumerate(keys):
            tasks[name, number] = (_follow, key, last)
            last = name, number
        tasks[name] = (_collect, keys, last)
        return Delayed(name, HighLevelGraph({name: MaterializedLayer(tasks)}, {name: set()}), layer=name)

    def _tasks(self, numbers: Iterable[int]) -> tuple[list[Any], dict[Any, Any]]:
        """Return the keys of the results for some blocks, and all tasks that lead to them."""
        graph = self._results.dask
        keys = [(self._results.name, number, 0, 0) for number in numbers]
        return keys, dict(self._results.__dask_optimize__(graph, keys) if self._may_be_fused else graph.cull(set(keys)))


def in_groups(numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    """Cut numbers into lists of one size."""
    rest = iter(numbers)
    while group := list(islice(rest, size)):
        yield group


def with_shared_values(frames: da.Array, keep: Callable[[list[Delayed]], list[Delayed]]) -> da.Array:
    """Compute what all blocks share once: where the frames are, an estimate, the mean of an array.

    Such values are the layers of a single task.
    """
    graph = frames.dask
    keys = {name: next(iter(layer)) for name, layer in graph.layers.items() if len(layer) == 1}
    if frames.npartitions == 1 or not keys:
        return frames
    kept = keep([Delayed(key, graph, layer=name) for name, key in keys.items()])
    values = {name: MaterializedLayer(dict(value.dask)) for name, value in zip(keys, kept, strict=True)}
    needs = {name: set() if name in keys else needed for name, needed in graph.dependencies.items()}
    return da.Array(HighLevelGraph({**graph.layers, **values}, needs), frames.name, frames.chunks, meta=frames._meta)


def _is_blockwise(frames: da.Array) -> bool:
    """Tell whether every block is made on its own, apart from values that all of them share."""
    graph = frames.dask
    names = [frames.name]
    for name in names:
        names.extend(graph.dependencies[name] - set(names))
    return all(isinstance(graph.layers[name], Blockwise) or not graph.dependencies[name] for name in names)


def _first_block_of(tasks: Mapping[Any, Any], results: list[Any]) -> dict[Any, int]:
    """Find the first block that needs a task, for each task of a graph of results."""
    found: dict[Any, int] = {}
    for result in sorted(results, key=itemgetter(1)):
        keys = [result]
        for key in keys:
            if key in tasks and key not in found:
                found[key] = result[1]
                keys.extend(get_dependencies(tasks, key))
    return found


def _follow(result: Any, before: None) -> None:
    """Come after a block and all blocks before it."""


def _collect(results: list[Any], last: None) -> list[Any]:
    return results


def _apply(block: NDArray[Any], call: _Call, block_id: tuple[int, ...]) -> Any:
    return call.function(block, int(call.starts[block_id[0]]), *call.arguments)
