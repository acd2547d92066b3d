"""Messages in words of the command line: options in place of arguments of Python."""

import re

#: Ways out that are called in another way here than their argument.
_IRREGULAR = (
    (r"overwrite=True", "--overwrite"),
    (r"resume=True", "--resume"),
    (r"resume=False", "--no-resume"),
    (r"times=…? or frame_interval=…?(?: in seconds)?", "--frame-interval SECONDS"),
    (r"set (fls\[\d+\]\['time'\])", r"give --frame-interval SECONDS, or set \1 in Python"),
    (r"fls\[(-?\d*:[-\d:]*)\](?!\[)", r"--frames \1"),
    (r"fls\[(\d+)\](?!\[)", lambda frame: f"--frames {frame[1]}:{int(frame[1]) + 1}"),
    (r"with a slice of the series", "with --frames START:STOP"),
    (r"model='ratio' and background_correction need", "--model ratio and flimage-dask background need"),
    (r"a side of frame_shape=", "--size "),
    (r"open it with FLImage\(h5file=…\)", "see flimage-dask info"),
    (r"open it with FLSeries\(h5file=…\)", "give the file of a single image"),
)

#: Arguments whose option has the same name, but for these.
_RENAMED = {"border_px": "border", "parameters": "parameter", "region": "background-region"}
_ARGUMENTS = (
    *_RENAMED,
    "background",
    "compression",
    "correction",
    "dark",
    "dtype",
    "estimate",
    "exclude",
    "flat",
    "frame_interval",
    "level",
    "mask",
    "max_factor",
    "memory",
    "model",
    "reference",
    "robust",
    "saturation",
    "seed",
    "trace",
    "weight",
)
# A value follows at once, unless a message speaks of an argument in general.
_ARGUMENT = re.compile(rf"\b({'|'.join(_ARGUMENTS)})=(?:'([^']*)'|(?=([^\s.,;:]?)))")


def in_words_of_the_command_line(text: str) -> str:
    """Replace the names of Python arguments by those of options.

    Examples
    --------
    >>> in_words_of_the_command_line("leave them out, such as with fls[:80], or give overwrite=True.")
    'leave them out, such as with --frames :80, or give --overwrite.'
    >>> in_words_of_the_command_line("leave it out with a slice of the series, or work on it alone as fls[3].")
    'leave it out with --frames START:STOP, or work on it alone as --frames 3:4.'
    >>> in_words_of_the_command_line("set fls[3]['time'].")
    "give --frame-interval SECONDS, or set fls[3]['time'] in Python."
    >>> in_words_of_the_command_line("border_px=0 is too little; give background= or model='auto'.")
    '--border 0 is too little; give --background or --model auto.'
    """
    for pattern, option in _IRREGULAR:
        text = re.sub(pattern, option, text)
    return _ARGUMENT.sub(_option, text)


def _option(argument: re.Match[str]) -> str:
    name, text, beginning = argument.groups()
    option = f"--{_RENAMED.get(name, name).replace('_', '-')}"
    if text:
        return f"{option} '{text}'" if " " in text else f"{option} {text}"
    return f"{option} " if beginning else option
