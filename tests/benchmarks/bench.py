"""What the experiments work with: how large a run is, and the series it needs, each made once."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import data
from .data import Recipe
from .measure import tell
from .peers import ours, zarr_dask


@dataclass(frozen=True)
class Scale:
    """How large a run is, in frames.

    Parameters
    ----------
    name
        What a run of this size is called.
    n_turns
        Repetitions, in turns.
    n_middle, n_middle_part
        Of 512 x 512; flimage, which is slow, gets a part that lies evenly across them.
    n_large, n_large_part
        Of 2048 x 2048; 0 to leave them out.
    n_small, n_small_part
        Of 64 x 64, for the whole job.
    n_short, n_long, n_opened, n_built
        Of 64 x 64: a short series, and long ones for the overhead of a frame, for opening, and for lazy arrays.
    n_memory
        Of 1024 x 1024, of which a quarter and an eighth are measured as well; 0 to leave it out.
    """

    name: str
    n_turns: int
    n_middle: int
    n_middle_part: int
    n_large: int
    n_large_part: int
    n_small: int
    n_small_part: int
    n_short: int
    n_long: int
    n_opened: int
    n_built: int
    n_memory: int


FULL = Scale(
    name="full",
    n_turns=5,
    n_middle=200,
    n_middle_part=20,
    n_large=12,
    n_large_part=4,
    n_small=1_000,
    n_small_part=100,
    n_short=2_000,
    n_long=50_000,
    n_opened=100_000,
    n_built=20_000,
    n_memory=1024,
)
#: Few frames and turns, within about a minute: a first impression, too short for the goals.
QUICK = Scale(
    name="quick",
    n_turns=2,
    n_middle=48,
    n_middle_part=4,
    n_large=0,
    n_large_part=0,
    n_small=100,
    n_small_part=20,
    n_short=500,
    n_long=1_000,
    n_opened=2_000,
    n_built=2_000,
    n_memory=0,
)

#: Deflating a frame of many pixels at level 9 takes long, so large frames repeat a few.
_DIFFERENT_LARGE = 8


@dataclass(frozen=True)
class Bench:
    """A folder of series, made when they are first asked for.

    Parameters
    ----------
    folder
        Where series and outputs lie. What is there from an earlier run is used again.
    scale
        How large the run is.
    n_turns
        Repetitions, in turns.
    """

    folder: Path
    scale: Scale
    n_turns: int

    def series(self, recipe: Recipe) -> Path:
        """Return a series."""
        return self._made(f"{_name(recipe)}.h5", f"{recipe}", lambda path: data.write(recipe, path))

    def part(self, recipe: Recipe, n_frames: int) -> Path:
        """Return a series of some frames that lie evenly across another."""
        source = self.series(recipe)
        name = f"{_name(recipe)}_part_{n_frames}.h5"
        return self._made(name, f"{n_frames} of these frames", lambda path: data.take(source, path, n_frames))

    def zarr(self, recipe: Recipe) -> Path:
        """Return the same frames as a zarr store."""
        source = self.series(recipe)
        return self._made(f"{_name(recipe)}.zarr", "the same for zarr", lambda path: zarr_dask.convert(source, path))

    def corrected(self, recipe: Recipe) -> Path:
        """Return what ours makes of a series in this run, whose settings the codec alone takes over."""
        path = self.folder / f"{_name(recipe)}_corrected.h5"
        if not path.exists():
            ours.correct(self.series(recipe), path)
        return path

    def forget_corrected(self) -> None:
        """Remove outputs of an earlier run, which another version may have made."""
        for path in self.folder.glob("*_corrected.h5"):
            path.unlink()

    def _made(self, name: str, description: str, make: Callable[[Path], object]) -> Path:
        path = self.folder / name
        if not path.exists():
            tell(f"    make {description}")
            partial = self.folder / f"partial_{name}"
            if partial.is_dir():
                shutil.rmtree(partial)
            partial.unlink(missing_ok=True)
            make(partial)
            partial.rename(path)
        return path


def middle(scale: Scale, kind: data.Kind) -> Recipe:
    """Return the series of frames 512 x 512."""
    return Recipe(kind, 512, scale.n_middle)


def large(scale: Scale, kind: data.Kind) -> Recipe:
    """Return the series of frames 2048 x 2048."""
    return Recipe(kind, 2048, scale.n_large, n_different=min(_DIFFERENT_LARGE, scale.n_large))


def small(n_frames: int, kind: data.Kind = "integer") -> Recipe:
    """Return a series of frames 64 x 64."""
    return Recipe(kind, 64, n_frames)


def for_memory(n_frames: int) -> Recipe:
    """Return a series of frames 1024 x 1024."""
    return Recipe("integer", 1024, n_frames, n_different=_DIFFERENT_LARGE)


def _name(recipe: Recipe) -> str:
    return f"{recipe.kind}_{recipe.side}_{recipe.n_frames}_of_{recipe.n_computed}"
