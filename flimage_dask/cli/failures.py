"""What goes wrong or needs a look, in one line each on the standard error."""

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from click.exceptions import Exit

from ..errors import FlimageError, ParameterError
from ..notices import BleachingWarning, ClippingWarning, SchedulerWarning
from ..view.text import printable
from .interrupts import StoppingInOrder
from .wording import in_words_of_the_command_line

PROGRAM = "flimage-dask"
DATA_OR_DISK, USAGE, INTERRUPTED = 1, 2, 130

_TRACEBACK = f"{__name__}.traceback"
_Command = TypeVar("_Command", bound=Callable[..., Any])


class OneLineErrors(click.Group):
    """A group of commands whose errors are one line, and whose exit codes tell them apart."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command line and exit; for the arguments see `click.Command.main`."""
        inside = {"prog_name": PROGRAM, **options, "standalone_mode": False}
        if not options.get("standalone_mode", True):
            return super().main(*args, **inside)
        try:
            with StoppingInOrder(_end_at_once):
                code = super().main(*args, **inside)
        except click.ClickException as error:
            code = error.exit_code
            say("error", _usage_in_words(error))
        except click.Abort as abort:
            code = INTERRUPTED
            say("error", str(abort) or "interrupted.")
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            if sys.stderr.isatty():
                click.echo(err=True)  # ends the line on which the terminal shows ^C
            raise click.Abort(_with_notes("interrupted.", interrupt)) from interrupt
        # A warning is raised where somebody has asked for it.
        except (BrokenPipeError, click.ClickException, click.Abort, Exit, Warning):
            raise
        except Exception as error:
            if ctx.meta.get(_TRACEBACK):
                click.echo(traceback.format_exc(), err=True, nl=False)
            say("error", _with_notes(_in_words(error), error))
            ctx.exit(USAGE if isinstance(error, ParameterError) else DATA_OR_DISK)


def _end_at_once() -> None:
    say("error", f"interrupted twice: stopped at once. What is left over is listed by {PROGRAM} clean.")
    os._exit(INTERRUPTED)


def traceback_option(command: _Command) -> _Command:
    """Add the option --traceback to a command."""
    option = click.option(
        "--traceback",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_note_traceback,
        help="Show the Python traceback of an error too.",
    )
    return option(command)


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Show each warning of this package once, in one line and without a line of source code."""
    ours = (BleachingWarning, ClippingWarning, SchedulerWarning)
    shown: set[str] = set()
    with warnings.catch_warnings():
        show_other = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, ours):
                show_other(message, category, *place, **more)
            elif str(message) not in shown:
                shown.add(str(message))
                say("warning", in_words_of_the_command_line(str(message)))

        for category in ours:
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield


def say(kind: str, text: str) -> None:
    """Write one line to the standard error."""
    click.echo(f"{PROGRAM}: {kind}: {printable(' '.join(text.split()))}", err=True)


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, FlimageError) and error.errno is not None:
        place = f"'{error.filename}': " if error.filename is not None else ""
        return f"{place}{error.strerror}."
    if not isinstance(error, FlimageError | OSError | ImportError):
        # Nobody thought of it, so that what it says may mean little without its name.
        text = f"{type(error).__name__}: {error}".rstrip(": .")
        return f"{text}. Give --traceback to see where, and report it, please."
    return in_words_of_the_command_line(str(error))


def _with_notes(text: str, error: BaseException) -> str:
    """Add what was noted about an error on its way, such as how to go on."""
    return " ".join([text, *map(in_words_of_the_command_line, getattr(error, "__notes__", ()))])


def _usage_in_words(error: click.ClickException) -> str:
    message = error.format_message()
    end = "" if message.endswith((".", "?")) else "."
    context = getattr(error, "ctx", None)
    return f"{message}{end} See {context.command_path if context else PROGRAM} --help."


def _note_traceback(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.meta[_TRACEBACK] = True
