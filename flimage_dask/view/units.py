"""Numbers with the unit in which people read them."""

from math import isfinite, isnan

_TIME_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_SIZE_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def time_unit(duration: float) -> tuple[float, str]:
    """Return the unit that suits a duration: its length [s], and its name.

    Examples
    --------
    >>> time_unit(46 * 3600), time_unit(110), time_unit(0.02)
    ((3600.0, 'h'), (1.0, 's'), (0.001, 'ms'))
    """
    # A few of the larger unit are better said in the smaller one: 150 s rather than 2.5 min.
    for seconds, name in _TIME_UNITS:
        if isfinite(duration) and duration >= (3.0 * seconds if seconds > 1.0 else seconds):
            return seconds, name
    return (1.0, "s") if duration == 0 or not isfinite(duration) else _TIME_UNITS[-1]


def format_time(duration: float) -> str:
    """Write a duration [s] in the unit that suits it.

    Examples
    --------
    >>> format_time(46 * 3600), format_time(3600), format_time(0.5), format_time(90), format_time(float("nan"))
    ('46 h', '1 h', '500 ms', '90 s', 'unknown')
    """
    if isnan(duration):
        return "unknown"
    whole = [unit for unit in _TIME_UNITS[:3] if duration and duration % unit[0] == 0.0]
    seconds, name = whole[0] if whole else time_unit(abs(duration))
    return f"{duration / seconds:.4g} {name}"


def format_size(n_bytes: float) -> str:
    """Write a number of bytes in decimal units, as disks and file managers count.

    Examples
    --------
    >>> format_size(78_643_200), format_size(512)
    ('78.6 MB', '512 B')
    """
    for size, name in _SIZE_UNITS:
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {name}"
    return f"{n_bytes:.0f} B"


def format_compression(file_bytes: int, uncompressed_bytes: int) -> str:
    """Write the size of a file beside that of the pixels in it.

    Examples
    --------
    >>> format_compression(2_555_335, 49_283_072)
    '2.56 MB for 49.3 MB of pixels (19.3 : 1)'
    """
    ratio = uncompressed_bytes / file_bytes
    return f"{format_size(file_bytes)} for {format_size(uncompressed_bytes)} of pixels ({ratio:.3g} : 1)"
