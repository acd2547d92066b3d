"""Tasks that apply a function to blocks of frames, made some at a time, so that no graph grows with the series."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
from dask.blockwise import Blockwise
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from numpy.typing import NDArray


class BlockTasks:
    """A function to be applied to blocks.

    What all blocks share is computed once and kept, by whoever computes: where the frames are, an estimate, the
    mean of an array.

    Parameters
    ----------
    frames
        Lazy frames (frame, y, x) in blocks of whole frames.
    function, arguments
        Called as ``function(block, first, *arguments)``, where `first` is the position of the first frame
        of the block.
    keep
        Computes lazy values and keeps them, as `dask.persist` does.

    Attributes
    ----------
    fuse
        Whether everything that leads to a result may be made one task. Where blocks depend on each other,
        tasks of another group would be fused in another way, under the same names.
    """

    def __init__(
        self,
        frames: da.Array,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keep: Callable[[list[Delayed]], list[Delayed]],
    ) -> None:
        self._function = function
        self._starts = np.cumsum((0, *frames.chunks[0]))
        self._frames = _keeping_what_is_shared(frames, keep)
        # A name of its own for every run: what a function does besides its result must be done again.
        (self._shared,) = keep([dask.delayed((uuid4().hex, *arguments), traverse=False)])
        self.fuse = _is_blockwise(self._frames)

    def of(self, numbers: list[int]) -> da.Array:
        """Return a lazy array whose blocks are the results for some blocks of frames."""
        return self._frames.blocks[numbers].map_blocks(
            _apply,
            self._shared,
            function=self._function,
            starts=self._starts[numbers],
            dtype=object,
            meta=np.empty((0, 0, 0), object),
        )


def in_groups(numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    """Cut numbers into lists of one size."""
    rest = iter(numbers)
    while group := list(islice(rest, size)):
        yield group


def _keeping_what_is_shared(frames: da.Array, keep: Callable[[list[Delayed]], list[Delayed]]) -> da.Array:
    """Replace layers of a single task by their values."""
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


def _apply(
    block: NDArray[Any],
    shared: tuple[Any, ...],
    function: Callable[..., Any],
    starts: NDArray[np.int64],
    block_id: tuple[int, ...],
) -> Any:
    _, *arguments = shared
    return function(block, int(starts[block_id[0]]), *arguments)
