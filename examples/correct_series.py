"""Correct a series for background and bleaching, and look at what was found.

Run it as ``python correct_series.py [FOLDER]``. It simulates a series first; for your own, leave that out.
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

from flimage_dask import FLSeries, to_hdf5
from flimage_dask.simulate import Simulation


def main(folder: Path) -> None:
    """Simulate a series, correct it, and compare the first and the last frame."""
    series_path, corrected_path = folder / "series.h5", folder / "corrected.h5"
    simulation = Simulation(n_frames=200)
    to_hdf5(simulation.lazy(), series_path, times=simulation.times, identifier="cells", overwrite=True)

    with FLSeries(h5file=series_path, h5mode="r") as fls:
        print(fls)
        # The estimate is remembered: the correction below does not read the frames for it again.
        print(fls.estimate_bleaching())
        background, trace, decay, times = fls.bleach_correction(corrected_path, overwrite=True)
    print(f"background {background:.2f} counts; factor at {times[-1]:g} s: {decay[0] / decay[-1]:.3f}")

    with FLSeries(h5file=corrected_path, h5mode="r") as corrected:
        sums = corrected.fl[[0, -1]].sum(axis=(1, 2)).compute()
    print(
        f"light of the last frame against the first: {trace[-1] / trace[0]:.1%} before, {sums[1] / sums[0]:.1%} after"
    )
    print(f"written to {corrected_path}")


if __name__ == "__main__":
    results = Path(sys.argv[1] if len(sys.argv) > 1 else mkdtemp(prefix="flimage_dask_"))
    results.mkdir(parents=True, exist_ok=True)
    main(results)
