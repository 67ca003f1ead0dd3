"""Numbers of bytes, for people."""

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def human_size(size: int) -> str:
    """Return ``size`` bytes with a decimal unit: ``512 bytes``, ``1.5 GB``."""
    if size < 1000:
        return "1 byte" if size == 1 else f"{size} bytes"
    value = float(size)
    unit = ""
    for unit in _UNITS:  # noqa: B007 - the unit reached is the result
        value /= 1000
        if value < 999.95:
            break
    return f"{value:.1f} {unit}"
