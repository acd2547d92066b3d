"""What the experiments find out: rates of systems, and the figures that have goals."""

from dataclasses import dataclass, field

from .data import Kind
from .measure import Turns


@dataclass(frozen=True)
class Rate:
    """How fast one system did one job.

    Parameters
    ----------
    job
        What was done, such as "whole job, 200 frames of 512 x 512".
    kind
        Integer counts or floats.
    system
        Who did it.
    n_bytes
        Uncompressed size of the frames of the job.
    seconds
        Time for all of them, scaled where fewer were measured.
    note
        What a reader must know of this measurement.
    """

    job: str
    kind: Kind
    system: str
    n_bytes: int
    seconds: Turns
    note: str = ""

    @property
    def megabytes_per_second(self) -> Turns:
        """Uncompressed megabytes a second."""
        return self.seconds.as_rate(self.n_bytes / 1e6)


@dataclass(frozen=True)
class Value:
    """A figure for which there is a goal.

    Parameters
    ----------
    turns
        The figure in each turn, in the unit of its goal.
    note
        What it was measured on, and what else a reader must know.
    """

    turns: Turns
    note: str = ""


@dataclass
class Findings:
    """All that a run has found out."""

    rates: list[Rate] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)

    def add(self, other: "Findings") -> None:
        """Take over what another experiment has found."""
        self.rates += other.rates
        self.values |= other.values
