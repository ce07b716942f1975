"""Amounts in words: times, sizes, counts and choices, as the commands print them."""

from __future__ import annotations


def lasting(seconds: float) -> str:
    """Return a time with the unit that suits it, ``"89 s"`` or ``"2 min"``."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def sized(count: float) -> str:
    """Return a number of bytes with the unit that suits it, ``"12 kB"``, ``"350 MB"`` or ``"3.7 GB"``."""
    if count >= 0.95e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 0.95e6 else f"{count / 1e3:.0f} kB"


def numbers_below(count: int) -> str:
    """Return the numbers from 0 of `count` things, ``"only 0"`` or ``"0 to 3"``."""
    return "only 0" if count == 1 else f"0 to {count - 1}"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, ``"1 window"`` or ``"1,204 windows"``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
