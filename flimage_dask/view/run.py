"""How a series was written and what was found out on the way: for programs and for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Self

from ..correction.estimate import NO_BLEACHING, BleachingEstimate
from ..correction.intensity import POSITIVE_SUM
from ..memory import peak_memory
from ..series import FLSeries
from ..simulate import Simulation
from .estimate_words import bleached_in_words, changes, residuals_in_words
from .text import aligned, counted, listed, printable, short
from .units import format_compression, format_size, format_time


@dataclass(frozen=True)
class RunReport:
    """How a series was written.

    Parameters
    ----------
    source
        The series that was read: its path or URL.
    output
        The file.
    n_frames, frame_shape
        Number of frames, their height and width [px].
    pixel_bytes
        Size of a pixel.
    seconds
        Time it took.
    peak_memory
        Most memory the process held [bytes].
    """

    source: str | None
    output: Path
    n_frames: int
    frame_shape: tuple[int, int]
    pixel_bytes: int
    seconds: float
    peak_memory: int

    @classmethod
    def of(cls, output: Path, source: str | None, seconds: float) -> Self:
        """Describe a run of this process that has just written a series."""
        with FLSeries(h5file=output, h5mode="r") as written:
            n_frames, height, width = written.shape
            pixel_bytes = written[:1].raw_fl.dtype.itemsize
        return cls(source, output, n_frames, (height, width), pixel_bytes, seconds, peak_memory())

    @property
    def uncompressed_bytes(self) -> int:
        """Size of the pixels."""
        return self.n_frames * self.frame_shape[0] * self.frame_shape[1] * self.pixel_bytes

    def summary(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON."""
        file_bytes = self.output.stat().st_size
        return {
            "input": self.source,
            "output": str(self.output),
            "n_frames": self.n_frames,
            "frame_shape": list(self.frame_shape),
            "seconds": self.seconds,
            "megabytes_per_second": self.uncompressed_bytes / 1e6 / self.seconds,
            "frames_per_second": self.n_frames / self.seconds,
            "file_bytes": file_bytes,
            "uncompressed_bytes": self.uncompressed_bytes,
            "compression_ratio": self.uncompressed_bytes / file_bytes,
            "peak_memory_bytes": self.peak_memory,
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return how it went, as rows of a table."""
        found = self.summary()
        rate = f"{found['megabytes_per_second']:,.0f} MB/s, {found['frames_per_second']:,.0f} frames/s"
        return [
            ("speed", f"{format_time(round(self.seconds, 2))} for {format_size(self.uncompressed_bytes)}: {rate}"),
            ("file size", format_compression(found["file_bytes"], found["uncompressed_bytes"])),
            ("peak memory", format_size(self.peak_memory)),
        ]


def run_text(run: RunReport, what: str) -> str:
    """Say what was written, and how it went.

    Parameters
    ----------
    run
        How it went.
    what
        What was done to the frames, in a few words.
    """
    return "\n".join([_written(run, what), "", *aligned(run.rows())])


def correction_text(run: RunReport, estimate: BleachingEstimate) -> str:
    """Say what a bleach correction found and wrote."""
    rows = [*_correction_rows(estimate), *run.rows()]
    return "\n".join([_written(run, "corrected for background and bleaching"), "", *aligned(rows)])


def estimate_text(origin: str, estimate: BleachingEstimate, written: Sequence[Path]) -> str:
    """Say what was found out about a series, and what was written.

    Parameters
    ----------
    origin
        Path or URL of the series.
    estimate
        What was found.
    written
        Files with more of it.
    """
    heading = f"{printable(origin)}: {counted(len(estimate.trace), 'frame')}, {estimate.status}"
    rows = [*_correction_rows(estimate), *(("written", printable(path)) for path in written)]
    return "\n".join([heading, "", *aligned(rows)])


def demo_text(run: RunReport, estimate: BleachingEstimate, simulation: Simulation, files: Sequence[Path]) -> str:
    """Say what a demonstration found, beside what is true.

    Parameters
    ----------
    run, estimate
        The correction.
    simulation
        The truth.
    files
        What was written.
    """
    found = estimate.summary()
    comparison = [
        ("", "found", "truth", ""),
        ("background", f"{found['background']:.2f}", f"{simulation.background:.2f}", "counts"),
        ("half-life", f"{estimate.half_life:.2f}", f"{simulation.half_life:.2f}", "s"),
        ("largest factor", f"{estimate.largest_factor:.3f}", f"{simulation.factors.max():.3f}", ""),
        ("R2 of the fit", f"{estimate.r2:.5f}", "", ""),
    ]
    lines = [
        _written(run, "corrected for background and bleaching"),
        "",
        *aligned((label, f"{ours:>9} {truth:>9}  {unit}") for label, ours, truth, unit in comparison),
        "",
        "  The noise of dark pixels is summed too and does not bleach: the factor stays below the truth.",
        "",
        *aligned(run.rows()),
        "",
        *aligned(zip(("simulated", "corrected", "picture"), map(str, files), strict=True)),
    ]
    return "\n".join(lines)


def _correction_rows(estimate: BleachingEstimate) -> list[tuple[str, str]]:
    found = estimate.summary()
    origin = {
        "constant": "the same for all frames",
        "per-frame": "mean of those of all frames",
        "image": "mean of an image",
    }[found["background_kind"]]
    if estimate.border_px is not None:
        origin += f", border of {estimate.border_px} px"
    rows = [("background", f"{short(found['background'])} counts ({origin})")]
    if estimate.prepared:
        rows.append(("prepared", estimate.prepared))
    if estimate.trace_kind != POSITIVE_SUM:
        rows.append(("trace", estimate.trace_kind))
    if not estimate.is_corrected:
        beyond_noise = "none beyond the noise" if estimate.status == NO_BLEACHING else "not to be corrected"
        return [*rows, ("bleaching", f"{beyond_noise}: all factors are 1")]
    rows += [
        ("model", f"{estimate.model}: {estimate.formula}"),
        ("half-life", f"{format_time(estimate.half_life)}, {bleached_in_words(estimate)}"),
        *changes(estimate),
        *([("R2 of the fit", f"{estimate.r2:.6f}")] if isfinite(estimate.r2) else []),
        *([("residuals", words)] if (words := residuals_in_words(estimate)) else []),
    ]
    if estimate.excluded:
        rows.append(("excluded", counted(len(estimate.excluded), "frame")))
    if estimate.outliers:
        rows.append(("outliers", f"frames {listed([str(frame) for frame in estimate.outliers])}"))
    if estimate.left_out:
        rows.append(("left out", f"{counted(len(estimate.left_out), 'frame')} without a finite intensity"))
    return rows


def _written(run: RunReport, what: str) -> str:
    height, width = run.frame_shape
    return f"{printable(run.output)}: {counted(run.n_frames, 'frame')} of {height} x {width} px, {what}"
