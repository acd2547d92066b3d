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
from dask.blockwise import Blockwise, optimize_blockwise
from dask.core import get_dependencies
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.optimization import cull
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class _Call:
    """What all tasks share.

    An object rather than a tuple, because dask looks for tasks inside tuples. Its name is new in each run, so that
    dask repeats side effects instead of reusing results.
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
        graph = self._results.dask
        # Once for all groups, as dask looks through all blocks.
        self._graph = optimize_blockwise(graph, keys=self._keys([0])) if self._may_be_fused else graph
        self._are_apart = _common_tasks(frames) <= set(_single_tasks(frames).values())

    def of(self, numbers: list[int]) -> list[Delayed]:
        """Return the results for some blocks of frames as lazy values, ready to be computed as they are.

        Everything that leads to a result is one task, if blocks do not depend on each other. On a cluster those of
        the first frames come first; by itself dask takes blocks in the order of their names, from the end.
        """
        name, keys = self._results.name, self._keys(numbers)
        tasks = dict(self._optimized(keys) if self._may_be_fused else self._graph.cull(set(keys)))
        # What dask fused into others it may leave in the graph, though no result needs it.
        first_blocks = _first_block_of(tasks, keys)
        needed = {key: tasks[key] for key in first_blocks}
        layer = MaterializedLayer(needed, annotations={"priority": lambda key: -first_blocks[key]})
        of_one_layer = HighLevelGraph({name: layer}, {name: set()})
        return [Delayed(key, of_one_layer, layer=name) for key in keys]

    def in_turn(self, n_together: int) -> Iterator[Delayed]:
        """Give lists of the results for neighbouring blocks as lazy values, to be computed one after another.

        A chain of empty tasks, each behind one block, gives blocks their order where priorities are not heeded.
        dask takes memory for it that grows with the square of its length, so a list holds no more than
        `n_together`, unless the first block and the last one depend on the same.
        """
        numbers = range(self._results.numblocks[0])
        for group in in_groups(numbers, n_together if self._are_apart else len(numbers)):
            name = f"in-turn-{group[0]}-{self._results.name}"
            keys = self._keys(group)
            tasks, last = dict(self._optimized(keys)), None
            for number, key in enumerate(keys):
                tasks[name, number] = (_follow, key, last)
                last = name, number
            tasks[name] = (_collect, keys, last)
            yield Delayed(name, HighLevelGraph({name: MaterializedLayer(tasks)}, {name: set()}), layer=name)

    def _keys(self, numbers: Iterable[int]) -> list[Any]:
        return [(self._results.name, number, 0, 0) for number in numbers]

    def _optimized(self, keys: list[Any]) -> Mapping[Any, Any]:
        """Return the tasks that lead to some results, with slices moved to where frames are read."""
        # As a dict: of a graph of layers dask would make the tasks of all blocks, to find roots that can be fused.
        few = self._graph.cull(set(keys)).to_dict()
        tasks: Mapping[Any, Any] = self._results.__dask_optimize__(few, keys)
        return tasks


def in_groups(numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    """Cut numbers into lists of one size."""
    rest = iter(numbers)
    while group := list(islice(rest, size)):
        yield group


def with_shared_values(frames: da.Array, keep: Callable[[list[Delayed]], list[Delayed]]) -> da.Array:
    """Compute what all blocks share once: where the frames are, an estimate, the mean of an array.

    Such values are the layers of a single task that the first block and the last one need.
    """
    graph, common = frames.dask, _common_tasks(frames)
    keys = {name: key for name, key in _single_tasks(frames).items() if key in common}
    if frames.npartitions == 1 or not keys:
        return frames
    kept = keep([Delayed(key, graph, layer=name) for name, key in keys.items()])
    values = {name: MaterializedLayer(dict(value.dask)) for name, value in zip(keys, kept, strict=True)}
    needs = {name: set() if name in keys else needed for name, needed in graph.dependencies.items()}
    return da.Array(HighLevelGraph({**graph.layers, **values}, needs), frames.name, frames.chunks, meta=frames._meta)


def _single_tasks(frames: da.Array) -> dict[str, Any]:
    """Return the keys of layers that are a single task, by the names of the layers."""
    return {name: next(iter(layer)) for name, layer in frames.dask.layers.items() if len(layer) == 1}


def _common_tasks(frames: da.Array) -> set[Any]:
    """Return the keys of the tasks that lead to the first block as well as to the last one."""
    first, last = (_tasks_of(frames, number) for number in (0, frames.numblocks[0] - 1))
    return first & last


def _tasks_of(frames: da.Array, number: int) -> set[Any]:
    """Return the keys of the tasks that lead to a block."""
    key = (frames.name, number, 0, 0)
    # Layers know roughly what they need of each other, without making all of their tasks.
    needed, _ = cull(frames.dask.cull({key}).to_dict(), [key])
    return set(needed)


def _is_blockwise(frames: da.Array) -> bool:
    """Tell whether every block is made on its own, apart from values that all of them share."""
    graph, shared = frames.dask, set(_single_tasks(frames).values())
    names = [frames.name]
    for name in names:
        names.extend(graph.dependencies[name] - set(names))
    return all(
        isinstance(graph.layers[name], Blockwise)
        or not graph.dependencies[name]
        or _needs_each_task_once(graph, name, shared)
        for name in names
    )


def _needs_each_task_once(graph: HighLevelGraph, name: str, shared: set[Any]) -> bool:
    """Tell whether no two tasks of a layer, such as one of slices, need the same task, but for shared ones."""
    layer, keys = graph.layers[name], graph.get_all_external_keys()
    needed = [key for task in layer for key in layer.get_dependencies(task, keys) - shared]
    return len(needed) == len(set(needed))


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
