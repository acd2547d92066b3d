"""Where the frames of an output come from, as it is noted in its root."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from .._version import __version__
from ..correction.estimate import BleachingEstimate
from ..errors import ParameterError
from ..hdf5.layout import ESTIMATE, PROVENANCE
from ..plain_json import through_json


@dataclass(frozen=True, eq=False)
class Provenance:
    """What was done to which frames.

    Parameters
    ----------
    operation
        Name of the function that the user called.
    source
        The series that was read: its file and its identifier; None if it was none.
    parameters
        Arguments of the operation.
    estimate
        The estimate of bleaching with which the frames were corrected.

    Raises
    ------
    ParameterError
        (a ValueError) if an argument is nothing that JSON knows.
    """

    operation: str
    source: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    estimate: BleachingEstimate | None = None

    def __post_init__(self) -> None:
        try:
            through_json(self._described)
        except (TypeError, ValueError) as error:
            raise ParameterError(f"an argument cannot be recorded in the output: {error}.") from error

    @cached_property
    def estimate_json(self) -> str | None:
        """The estimate as text."""
        return None if self.estimate is None else self.estimate.to_json()

    def attributes(self, stored_as: Mapping[str, Any]) -> dict[str, str]:
        """Return the attributes of the root.

        Parameters
        ----------
        stored_as
            How the frames turned out to be stored.
        """
        created = datetime.now(UTC).isoformat(timespec="seconds")
        told = {"version": __version__, **self._described, "storage": dict(stored_as), "created": created}
        attributes = {PROVENANCE: json.dumps(through_json(told), allow_nan=False)}
        return attributes if self.estimate_json is None else attributes | {ESTIMATE: self.estimate_json}

    @cached_property
    def _described(self) -> dict[str, Any]:
        return {
            "operation": self.operation,
            "source": self.source,
            "parameters": dict(self.parameters),
            "estimate": None if self.estimate is None else self.estimate.summary(),
        }
