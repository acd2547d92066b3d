"""The command ``flimage-dask``."""

import click

from .._version import __version__
from .background import background
from .clean import clean
from .correct import correct
from .demo import demo
from .denoise import denoise
from .estimate import estimate
from .failures import PROGRAM, OneLineErrors, traceback_option
from .info import info
from .match import match

__all__ = ["main"]


@click.group(
    PROGRAM,
    cls=OneLineErrors,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 the data or the disk, 2 the command line, 130 interrupted.",
)
@click.version_option(__version__)
@traceback_option
@click.pass_context
def main(context: click.Context) -> None:
    """Correct fluorescence series larger than memory.

    Start with `flimage-dask demo`, which simulates a series and corrects it.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (info, estimate, correct, background, match, denoise, clean, demo):
    main.add_command(command)
