"""Values as JSON knows them, whether they are Python's or numpy's."""

import json
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
