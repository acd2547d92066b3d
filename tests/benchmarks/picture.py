"""A picture of the whole job: how fast each system corrects integer counts and floats."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .data import KINDS
from .findings import Rate
from .peers import CODEC, DISK, OURS
from .report import Report, short

_DPI, _WIDTH = 150, 10.0
_FONT_SIZE, _TITLE_SIZE = 11.0, 13.0
# Of Okabe and Ito, as in the pictures of a correction: ours in blue, the others in grey.
_OURS, _PEER, _LIMIT, _TEXT = "#0072B2", "#A9AFB5", "#E6E9EC", "#3A3F44"
_TITLES = {"integer": "Integer counts", "float": "Floats"}


def draw(report: Report, path: Path) -> None:
    """Draw the rates of the first whole job of a run as bars, the faster the higher, below the limit of the codec.

    Parameters
    ----------
    report
        The run.
    path
        A PNG file, which is replaced.
    """
    job = next(rate.job for rate in report.findings.rates if rate.job.startswith("Whole job"))
    rates = [rate for rate in report.findings.rates if rate.job == job and rate.system != DISK]
    systems = _in_order(rates)
    figure = Figure(figsize=(_WIDTH, 1.75 + 0.46 * len(systems)), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1, wspace=0.04)
    heading = f"{job}: estimate, correct, write"
    figure.suptitle(heading, x=0.01, ha="left", fontsize=_TITLE_SIZE + 1, fontweight="bold", color=_TEXT)
    for axes, kind in zip(figure.subplots(1, len(KINDS), sharex=True, sharey=True), KINDS, strict=True):
        axes.set_xlim(0.0, 1.14 * max(rate.megabytes_per_second.high for rate in rates))
        _draw_bars(axes, {rate.system: rate for rate in rates if rate.kind == kind}, systems)
        axes.set_title(_TITLES[kind], loc="left", fontsize=_TITLE_SIZE, color=_TEXT, pad=8)
    figure.supxlabel(
        f"uncompressed MB/s: median and range of {report.n_turns} turns on {report.machine.cores} cores",
        fontsize=_FONT_SIZE - 0.5,
        color=_TEXT,
    )
    figure.savefig(path, format="png")


def _in_order(rates: Sequence[Rate]) -> list[str]:
    """Return the systems from the bottom of the picture to its top."""
    speed: dict[str, float] = {}
    for rate in rates:
        speed[rate.system] = speed.get(rate.system, 0.0) + rate.megabytes_per_second.median
    return sorted(speed, key=lambda system: (system == CODEC, speed[system]))


def _draw_bars(axes: Axes, rates: dict[str, Rate], systems: Sequence[str]) -> None:
    for place, system in enumerate(systems):
        speed = rates[system].megabytes_per_second
        axes.barh(place, speed.median, height=0.68, **_style_of(system))
        if speed.high > speed.low:
            axes.plot([speed.low, speed.high], [place, place], color=_TEXT, linewidth=1.4, solid_capstyle="butt")
        weight = "bold" if system == OURS else "normal"
        text = axes.annotate(short(speed.median), (speed.high, place), (6, 0), textcoords="offset points", va="center")
        text.set(fontsize=_FONT_SIZE, fontweight=weight, color=_TEXT)
    axes.set_yticks(range(len(systems)), systems, fontsize=_FONT_SIZE, color=_TEXT)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == OURS else "normal")
    axes.set_ylim(-0.6, len(systems) - 0.4)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(_PEER)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=_FONT_SIZE - 1, length=0, colors=_TEXT)
    axes.grid(axis="x", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)


def _style_of(system: str) -> dict[str, object]:
    """Return how to fill a bar: ours, a peer, or the limit that the codec sets to all."""
    if system == CODEC:
        return {"facecolor": _LIMIT, "edgecolor": _PEER, "hatch": "////", "linewidth": 0.8}
    return {"facecolor": _OURS if system == OURS else _PEER, "edgecolor": "none"}
