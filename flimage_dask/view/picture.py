"""A picture of a bleach correction: frames before and after, the decay, and what is left of it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ..correction.estimate import BleachingEstimate
from ..errors import ParameterError
from .style import (
    DATA,
    DPI,
    FIT,
    FONT_SIZE,
    REFERENCE,
    TITLE_SIZE,
    WIDTH,
    TimeAxis,
    check_is_png,
    dot_size,
    ends_of_times,
    from_zero,
    power_of_thousand,
    save,
    scaled_counts,
    style,
    unit_of_times,
)

COLOUR_MAP = "inferno"
#: Pixels brighter than this share of all are drawn at the end of the scale.
BRIGHTEST = 99.9

Image: TypeAlias = NDArray[Any]


class Frames(Protocol):
    """A series of frames (frame, y, x): a numpy array, a dask array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number, height and width of the frames."""
        ...

    def __getitem__(self, key: int, /) -> Any: ...


def draw_correction(
    path: str | os.PathLike[str],
    before: Frames,
    after: Frames,
    estimate: BleachingEstimate,
    *,
    title: str | None = None,
) -> None:
    """Draw a bleach correction into a PNG file.

    Above, the first, the middle and the last frame before and after the correction, all on one
    scale. Below, the intensity of each frame with the fitted decay, and the same intensity after
    the correction, which should be level.

    Parameters
    ----------
    path
        The file to write, which is replaced; its suffix is ``.png``.
    before, after
        Raw and corrected frames (n, y, x), counts. Only three of each are computed.
    estimate
        What was corrected.
    title
        A heading. None leaves it out.

    Raises
    ------
    ParameterError
        (a ValueError) if the two series and the estimate differ in length, or `path` is no PNG.
    FileError
        (an OSError) if the file cannot be written; nothing is left of it.

    Examples
    --------
    >>> import dask, tempfile
    >>> from flimage_dask.correction import bleaching
    >>> from flimage_dask.simulate import Simulation
    >>> frames = Simulation(n_frames=20, frame_shape=(64, 64)).lazy()
    >>> trace = frames.sum(axis=(1, 2)).compute() - 108.0 * 64 * 64
    >>> estimate = bleaching.estimate_bleaching(range(20), trace, background=108.0)
    >>> corrected = (frames - 108.0) * estimate.factors[:, None, None]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_correction(f"{folder}/correction.png", frames, corrected, estimate)
    """
    path = Path(path)
    _check(path, before, after, estimate)
    positions = sorted({0, len(estimate.trace) // 2, len(estimate.trace) - 1})
    images = [[np.asarray(series[position]) for position in positions] for series in (before, after)]
    save(_draw(images, positions, estimate, title), path)


def _check(path: Path, before: Frames, after: Frames, estimate: BleachingEstimate) -> None:
    check_is_png(path)
    n_frames = len(estimate.trace)
    if not before.shape[0] == after.shape[0] == n_frames:
        raise ParameterError(
            f"{before.shape[0]} frames before and {after.shape[0]} after the correction, but an estimate of "
            f"{n_frames}: give the same frames."
        )


def _draw(
    images: Sequence[Sequence[Image]], positions: Sequence[int], estimate: BleachingEstimate, title: str | None
) -> Figure:
    page = _Page.of(images[0][0].shape, with_title=title is not None)
    figure = Figure(figsize=(WIDTH, page.height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    if title is not None:
        figure.text(
            0.5, 1.0 - 0.3 / page.height, title, ha="center", va="center", fontsize=TITLE_SIZE + 1, fontweight="bold"
        )
    _draw_frames(figure, page, images, positions, estimate)
    _draw_traces(figure, page, estimate)
    return figure


@dataclass(frozen=True)
class _Page:
    """Where things are on the page [inches]."""

    image_height: float
    heading: float

    image_width = 2.70
    images_left, images_gap = 0.58, 0.10
    trace_bottom, trace_height = 0.62, 2.45
    between = 0.80

    @classmethod
    def of(cls, frame_shape: tuple[int, ...], *, with_title: bool) -> Self:
        """Give frames the height that their shape asks for, within what still makes a page."""
        height = float(np.clip(cls.image_width * frame_shape[0] / frame_shape[1], 1.0, 4.2))
        return cls(height, heading=0.85 if with_title else 0.40)

    @property
    def images_bottom(self) -> float:
        return self.trace_bottom + self.trace_height + self.between

    @property
    def images_height(self) -> float:
        return 2.0 * self.image_height + self.images_gap

    @property
    def height(self) -> float:
        return self.images_bottom + self.images_height + self.heading

    def add_axes(self, figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
        return figure.add_axes((left / WIDTH, bottom / self.height, width / WIDTH, height / self.height))

    def add_image(self, figure: Figure, row: int, column: int) -> Axes:
        left = self.images_left + column * (self.image_width + self.images_gap)
        bottom = self.images_bottom + (1 - row) * (self.image_height + self.images_gap)
        return self.add_axes(figure, left, bottom, self.image_width, self.image_height)

    def add_colour_bar(self, figure: Figure, n_columns: int) -> Axes:
        left = self.images_left + n_columns * (self.image_width + self.images_gap)
        return self.add_axes(figure, left, self.images_bottom, 0.16, self.images_height)

    def add_trace(self, figure: Figure, column: int) -> Axes:
        left, gap, right = 0.72, 0.25, 0.18
        width = (WIDTH - left - gap - right) / 2.0
        return self.add_axes(figure, left + column * (width + gap), self.trace_bottom, width, self.trace_height)


def _draw_frames(
    figure: Figure,
    page: _Page,
    images: Sequence[Sequence[Image]],
    positions: Sequence[int],
    estimate: BleachingEstimate,
) -> None:
    scale = Normalize(*_common_scale(images))
    for row, (label, series) in enumerate(zip(("before", "after"), images, strict=True)):
        for column, (position, image) in enumerate(zip(positions, series, strict=True)):
            axes = page.add_image(figure, row, column)
            axes.imshow(image, cmap=COLOUR_MAP, norm=scale, interpolation="antialiased")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if row == 0:
                axes.set_title(_name_of_frame(position, estimate), fontsize=FONT_SIZE, pad=5)
            else:
                _write_into(axes, f"factor {estimate.factors[position]:.2f}")
            if column == 0:
                axes.set_ylabel(label, fontsize=TITLE_SIZE, fontweight="bold", labelpad=7)
    bar = figure.colorbar(ScalarMappable(scale, COLOUR_MAP), cax=page.add_colour_bar(figure, len(positions)))
    bar.set_label("pixel [counts], same scale", fontsize=FONT_SIZE, labelpad=6)
    bar.ax.tick_params(labelsize=FONT_SIZE - 1, color=REFERENCE)
    bar.outline.set_visible(False)


def _name_of_frame(position: int, estimate: BleachingEstimate) -> str:
    if not estimate.has_times:
        return f"frame {position}"
    seconds, unit = unit_of_times(estimate)
    return f"frame {position}, {(estimate.times[position] - estimate.times.min()) / seconds:.3g} {unit}"


def _write_into(axes: Axes, text: str) -> None:
    """Write into the corner of a frame, readable on dark and on bright pixels."""
    outline = [withStroke(linewidth=2.5, foreground="black")]
    axes.text(
        0.97, 0.04, text, transform=axes.transAxes, ha="right", color="white", fontsize=FONT_SIZE, path_effects=outline
    )


def _draw_traces(figure: Figure, page: _Page, estimate: BleachingEstimate) -> None:
    order, times, label = TimeAxis.of(estimate)
    corrected = estimate.trace * estimate.factors
    power = power_of_thousand([estimate.trace, corrected, estimate.decay])
    trace, decay, corrected = (values[order] / 10.0**power for values in (estimate.trace, estimate.decay, corrected))

    left, right = page.add_trace(figure, 0), page.add_trace(figure, 1)
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markeredgewidth": 0, "color": DATA, "alpha": 0.55}
    dots["markersize"] = dot_size(len(times))
    left.plot(times, trace, **dots, label="measured")
    left.plot(times, decay, color=FIT, linewidth=2.0, label=_describe_fit(estimate))
    right.plot(times, corrected, **dots, label="corrected")
    right.axhline(decay[0], color=FIT, linewidth=2.0, linestyle=(0, (5, 3)), label="fit at the first frame")
    # Where the curve leaves room: above its fall, or below it where it hardly falls.
    room: Literal["upper right", "lower left"] = "upper right" if estimate.bleached_fraction > 0.3 else "lower left"
    left.legend(fontsize=FONT_SIZE - 0.5, frameon=False, loc=room)
    right.legend(fontsize=FONT_SIZE - 0.5, frameon=False, loc="lower right")
    for axes, heading in ((left, "before"), (right, "after")):
        style(axes)
        axes.set_title(heading, fontsize=TITLE_SIZE, fontweight="bold", loc="left", pad=6)
        axes.set_xlabel(label, fontsize=FONT_SIZE)
        axes.set_xlim(*ends_of_times(times))
        axes.set_ylim(*from_zero([trace, corrected, decay], 1.15))
    right.tick_params(labelleft=False)
    left.set_ylabel(f"sum of a frame [{scaled_counts(power)}]", fontsize=FONT_SIZE)


def _describe_fit(estimate: BleachingEstimate) -> str:
    if not estimate.is_corrected:
        return "mean: no bleaching beyond the noise"
    if not np.isfinite(estimate.r2 * estimate.half_life):
        return f"{estimate.model}"
    seconds, unit = unit_of_times(estimate)
    return f"fit: half-life {estimate.half_life / seconds:.3g} {unit}, R² = {estimate.r2:.4f}"


def _common_scale(images: Sequence[Sequence[Image]]) -> tuple[float, float]:
    """Return the range of counts that all frames are drawn in."""
    pixels = np.concatenate([image.ravel() for series in images for image in series])
    finite = pixels[np.isfinite(pixels)]
    if not finite.size:
        return 0.0, 1.0
    lowest, highest = np.percentile(finite, [100.0 - BRIGHTEST, BRIGHTEST])
    # Noise about an empty background should look dark, not span the scale.
    lowest = min(float(np.percentile(finite, 5.0)), 0.0) if lowest < 0.0 else 0.0
    return lowest, max(float(highest), lowest + 1e-12)
