"""The experiments, each a function from a `Bench` to `Findings`, by the names of ``--only``."""

from collections.abc import Callable

from ..bench import Bench
from ..findings import Findings
from .correcting import correct_large, correct_middle, correct_small
from .estimating import estimate
from .lazy_arrays import build_and_correct
from .memory import measure_memory
from .opening import open_long
from .overhead import measure_overhead
from .reading import read
from .size import compare_sizes
from .values import compare_values

EXPERIMENTS: dict[str, Callable[[Bench], Findings]] = {
    "job": correct_middle,
    "estimate": estimate,
    "reading": read,
    "size": compare_sizes,
    "large": correct_large,
    "small": correct_small,
    "overhead": measure_overhead,
    "opening": open_long,
    "lazy": build_and_correct,
    "memory": measure_memory,
    "values": compare_values,
}
