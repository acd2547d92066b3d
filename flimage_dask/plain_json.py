"""Values as JSON knows them, whether they are Python's or numpy's."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def through_json(value: Any) -> Any:
    """Return a value as it comes back from JSON.

    Raises
    ------
    TypeError, ValueError
        If something in it is none of JSON's, or a number is not finite.

    Examples
    --------
    >>> through_json({"border_px": np.int64(4), "exclude": (1, 2)})
    {'border_px': 4, 'exclude': [1, 2]}
    """
    return json.loads(json.dumps(value, default=as_python, allow_nan=False))


def as_python(value: Any) -> Any:
    """Return a number of numpy as Python's, for ``json.dumps(…, default=as_python)``."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is neither a number, nor text, nor a list or dict of them.")


def plain(value: Any, levels: int = 20) -> Any:
    """Turn a value into what JSON knows: not-finite numbers become None, arrays lists, the rest text.

    Parameters
    ----------
    value
        Anything; what is nested deeper than `levels` is left out.
    levels
        Mappings and lists within each other.
    """
    if levels == 0:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): plain(entry, levels - 1) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(entry, levels - 1) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, bool | int | str) else str(value)
