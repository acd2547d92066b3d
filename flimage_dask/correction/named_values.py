"""Values by name, such as the parameters of a curve, that stay as they are."""

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

Value = TypeVar("Value")


class NamedValues(dict[str, Value]):
    """A dict that cannot be changed.

    Unlike `types.MappingProxyType`, it can be pickled and written as JSON.

    Raises
    ------
    TypeError
        Whenever it is to be changed.

    Examples
    --------
    >>> rates = NamedValues({"fast": 2.0, "slow": 0.5})
    >>> rates["fast"]
    2.0
    >>> rates | {"slow": 0.1}
    {'fast': 2.0, 'slow': 0.1}
    """

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("these values are read-only: change a copy, which dict(…) makes.")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type["NamedValues[Value]"], tuple[Mapping[str, Value]]]:
        # The way of dict would set one value after the other.
        return type(self), (dict(self),)
