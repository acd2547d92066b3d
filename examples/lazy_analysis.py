"""Analyse a series with dask, without writing a corrected copy of it.

Run it as ``python lazy_analysis.py [FOLDER]``. It simulates a series first; for your own, leave that out.
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import dask
import matplotlib.pyplot as plt

from flimage_dask import FLSeries, to_hdf5
from flimage_dask.simulate import Simulation


def main(folder: Path) -> None:
    """Plot a projection, a late frame and the traces of two crops of a series as if it did not bleach."""
    series_path, picture = folder / "series.h5", folder / "lazy_analysis.png"
    simulation = Simulation(n_frames=300)
    to_hdf5(simulation.lazy(), series_path, times=simulation.times, identifier="cells", overwrite=True)

    with FLSeries(h5file=series_path, h5mode="r") as fls:
        corrected = fls.bleach_corrected()  # nothing is read yet
        projection = corrected.max(axis=0)
        late_frame = corrected[-1]
        crops = {"left cell": (slice(140, 180), slice(40, 80)), "right cell": (slice(110, 150), slice(150, 190))}
        traces = [corrected[:, y, x].mean(axis=(1, 2)) for y, x in crops.values()]
        # Computed together, they share the estimate and every block that is read.
        projection, late_frame, *traces = dask.compute(projection, late_frame, *traces)
        times = fls.times

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for axes, image, title in ((left, projection, "maximum over time"), (middle, late_frame, f"{times[-1]:g} s")):
        axes.imshow(image, cmap="inferno", vmin=0, vmax=projection.max())
        axes.set_title(title)
        axes.axis("off")
    for name, trace in zip(crops, traces, strict=True):
        right.plot(times, trace, label=name)
        print(f"{name}: {trace[0]:.0f} counts in the first frame, {trace[-1]:.0f} in the last")
    right.set(xlabel="time [s]", ylabel="mean, corrected [counts]", ylim=(0, None))
    right.legend()
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    print(f"plotted in {picture}")


if __name__ == "__main__":
    results = Path(sys.argv[1] if len(sys.argv) > 1 else mkdtemp(prefix="flimage_dask_"))
    results.mkdir(parents=True, exist_ok=True)
    main(results)
