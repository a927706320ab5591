"""Figures as people read them."""

from __future__ import annotations

_POWERS_OF_1000 = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
_POWERS_OF_1024 = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB")


def with_prefix(count: float) -> str:
    """Return a count with a decimal prefix and three figures.

    >>> with_prefix(4_089_184_256), with_prefix(30_762), with_prefix(12)
    ('4.09 G', '30.8 k', '12')
    """
    value, power = float(count), 0
    while abs(value) >= 999.5 and power < len(_POWERS_OF_1000) - 1:
        value, power = value / 1000, power + 1
    digits = f"{value:.0f}" if power == 0 and value == int(value) else f"{value:#.3g}".rstrip(".")
    return f"{digits} {_POWERS_OF_1000[power]}".rstrip()


def as_bytes(count: float) -> str:
    """Return a number of bytes with a binary unit.

    >>> as_bytes(512), as_bytes(1536), as_bytes(1000 * 1024), as_bytes(3 * 1024 * 1024)
    ('512 B', '1.50 KiB', '1000 KiB', '3.00 MiB')
    """
    value, power = float(count), 0
    while abs(value) >= 1023.5 and power < len(_POWERS_OF_1024) - 1:
        value, power = value / 1024, power + 1
    whole = power == 0 or value >= 100  # three figures of 1,000 to 1,023 would be an exponent
    digits = f"{value:.0f}" if whole else f"{value:#.3g}"
    return f"{digits} {_POWERS_OF_1024[power]}"


def as_seconds(seconds: float) -> str:
    """Return a duration in the unit that suits it.

    >>> as_seconds(0.00123), as_seconds(0.25), as_seconds(12.3), as_seconds(3725)
    ('1.23 ms', '250 ms', '12.3 s', '1 h 02 min')
    """
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def percent(share: float | None) -> str:
    """Return a share with two decimals of a percent, a dash for none.

    >>> percent(0.98765), percent(None)
    ('98.77%', '-')
    """
    return "-" if share is None else f"{share:.2%}"
