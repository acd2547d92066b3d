"""A run as text, as Markdown and as JSON."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .data import KINDS, Kind
from .findings import Findings, Rate
from .goals import GOALS, Goal
from .machine import Machine
from .measure import Turns

Rows: TypeAlias = list[list[str]]


@dataclass(frozen=True)
class Report:
    """A run: where, how large, and what it has found.

    Parameters
    ----------
    machine
        What it ran on.
    scale
        Name of its size.
    n_turns
        Repetitions.
    findings
        Rates and figures.
    """

    machine: Machine
    scale: str
    n_turns: int
    findings: Findings

    def as_text(self) -> str:
        """Write tables for a terminal."""
        return self._written(_text_table, "{}")

    def as_markdown(self) -> str:
        """Write tables for a page."""
        return self._written(_markdown_table, "### {}")

    def as_json(self) -> dict[str, Any]:
        """Return everything, turn by turn."""
        return {
            "machine": self.machine.as_dict(),
            "scale": self.scale,
            "turns": self.n_turns,
            "rates": [_rate_as_json(rate) for rate in self.findings.rates],
            "goals": [_goal_as_json(goal, self.findings) for goal in GOALS],
        }

    def _written(self, table: Callable[[Sequence[str], Rows], str], heading: str) -> str:
        turns = f"the median of {self.n_turns} turns, or fewer where a figure hardly varies, and the range"
        parts = [f"A {self.scale} run: {turns}. {self.machine}."]
        for job in dict.fromkeys(rate.job for rate in self.findings.rates):
            rates = [rate for rate in self.findings.rates if rate.job == job]
            parts += [heading.format(job), table(_RATE_HEADER, _rows_of_rates(rates))]
        parts += [
            heading.format("Goals"),
            table(_GOAL_HEADER, rows_of_goals(self.findings)),
            count_of_goals(self.findings),
        ]
        return "\n\n".join(parts) + "\n"


_RATE_HEADER = ("system", *(f"{kind} [MB/s]" for kind in KINDS), "remarks")
_GOAL_HEADER = ("figure", "goal", "measured", "verdict", "measured on")


def rows_of_goals(findings: Findings) -> Rows:
    """Return a row for each goal: figure, goal, what was measured, whether it is met, on what."""
    rows = []
    for goal in GOALS:
        value = findings.values.get(goal.key)
        measured = "" if value is None else _with_range(value.turns, _unit(goal))
        note = "" if value is None else value.note
        limit = f"{_SIGN[goal.relation]} {goal.limit:g}{_unit(goal)}"
        rows.append([goal.text, limit, measured, goal.verdict(findings), note])
    return rows


def count_of_goals(findings: Findings) -> str:
    """Say how many goals are met."""
    verdicts = [goal.verdict(findings) for goal in GOALS]
    return (
        f"{verdicts.count('met')} of {len(verdicts)} goals met, {verdicts.count('missed')} missed, "
        f"{verdicts.count('not measured')} not measured."
    )


_SIGN = {">=": "≥", "<=": "≤"}


def _rows_of_rates(rates: Sequence[Rate]) -> Rows:
    """Return a row for each system, the fastest first."""
    by_system: dict[str, dict[Kind, Rate]] = {}
    for rate in rates:
        by_system.setdefault(rate.system, {})[rate.kind] = rate
    ordered = sorted(by_system, key=lambda system: -sum(_speeds(by_system[system])))
    return [
        [system, *(_cell(by_system[system].get(kind)) for kind in KINDS), _notes(list(by_system[system].values()))]
        for system in ordered
    ]


def _speeds(of_kinds: dict[Kind, Rate]) -> list[float]:
    return [rate.megabytes_per_second.median for rate in of_kinds.values()]


def _cell(rate: Rate | None) -> str:
    return "" if rate is None else _with_range(rate.megabytes_per_second)


def _notes(rates: Sequence[Rate]) -> str:
    """Return what both kinds have in common, or the note of each."""
    notes = list(dict.fromkeys(rate.note for rate in rates))
    if len(notes) == 1:
        return notes[0]
    return "; ".join(f"{rate.kind}: {rate.note}" for rate in rates)


def _with_range(turns: Turns, unit: str = "") -> str:
    if len(turns.values) == 1:
        return f"{short(turns.median)}{unit}"
    return f"{short(turns.median)}{unit} ({short(turns.low)} to {short(turns.high)})"


def short(number: float) -> str:
    """Write a number with three digits that matter."""
    if number == 0 or abs(number) >= 100:
        return f"{number:,.0f}"
    digits = 2 if abs(number) < 1 else 1 if abs(number) >= 10 else 2
    return f"{number:.3g}" if abs(number) < 0.1 else f"{number:.{digits}f}"


def _unit(goal: Goal) -> str:
    return "x" if goal.unit == "x" else f" {goal.unit}" if goal.unit else ""


def _markdown_table(header: Sequence[str], rows: Rows) -> str:
    lines = [list(header), ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text_table(header: Sequence[str], rows: Rows) -> str:
    lines = [list(header), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _rate_as_json(rate: Rate) -> dict[str, Any]:
    return {
        "job": rate.job,
        "kind": rate.kind,
        "system": rate.system,
        "note": rate.note,
        "bytes": rate.n_bytes,
        "seconds": list(rate.seconds.values),
        "megabytes_per_second": _summary(rate.megabytes_per_second),
    }


def _goal_as_json(goal: Goal, findings: Findings) -> dict[str, Any]:
    value = findings.values.get(goal.key)
    return {
        "key": goal.key,
        "figure": goal.text,
        "goal": f"{goal.relation} {goal.limit:g}",
        "unit": goal.unit,
        "verdict": goal.verdict(findings),
        "measured": None if value is None else {**_summary(value.turns), "turns": list(value.turns.values)},
        "measured_on": None if value is None else value.note,
    }


def _summary(turns: Turns) -> dict[str, float]:
    return {"median": turns.median, "low": turns.low, "high": turns.high}
