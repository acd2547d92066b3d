"""The vocabulary of metadata: which keys an image may carry, and in which unit."""

from collections import UserDict
from typing import Any, ClassVar

from .errors import MetaDataMissingError, MetaKeyError

#: Keys that describe the data itself; two images are equal only if these agree.
DATA_DEF_FL = {
    "pixel size": "detector pixel size [m]",
    "time": "acquisition time of the image [s]",
}

#: Keys that describe how the image came about.
OTHER_DEF_FL = {
    "angle": "tomographic acquisition angle [rad]",
    "date": "acquisition date 'YYYY-MM-DD'",
    "device": "imaging device used",
    "flimage version": "flimage software version used",
    "focus": "focus position [m]",
    "identifier": "image identifier",
    "numerical aperture": "numerical aperture",
    "pos x": "x position [m]",
    "pos y": "y position [m]",
    "qpimage version": "qpimage software version used",
    "sim center": "simulation: center of object [px]",
    "sim model": "simulation: model used",
    "sim radius": "simulation: object radius [m]",
    "software": "imaging software used",
}

DATA_KEYS_FL = sorted(DATA_DEF_FL)
OTHER_KEYS_FL = sorted(OTHER_DEF_FL)

#: Every valid metadata key.
META_KEYS_FL = DATA_KEYS_FL + OTHER_KEYS_FL


class FLMetaDict(UserDict[str, Any]):
    """A dictionary that accepts only the keys of `META_KEYS_FL`.

    Raises
    ------
    MetaKeyError
        (a KeyError) if a key is outside the vocabulary.
    MetaDataMissingError
        (a KeyError) if a valid key is asked for that has no value.

    Examples
    --------
    >>> FLMetaDict({"time": 1.5})["time"]
    1.5
    """

    valid_keys: ClassVar[list[str]] = META_KEYS_FL

    def __setitem__(self, key: str, value: Any) -> None:
        check_key(key)
        super().__setitem__(key, value)

    def __getitem__(self, key: str) -> Any:
        check_key(key)
        if key not in self.data:
            raise MetaDataMissingError(
                f"no value for '{key}': give it as meta_data={{'{key}': …}} or set image['{key}']."
            )
        return super().__getitem__(key)


def check_key(key: str) -> None:
    """Refuse a key outside the vocabulary."""
    if key not in META_KEYS_FL:
        raise MetaKeyError(f"unknown metadata key '{key}'. Valid keys: {', '.join(META_KEYS_FL)}.")
