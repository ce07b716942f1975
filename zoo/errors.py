"""What a user did that cannot work, in one line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input: the message says what was given, what is allowed, and what to do.

    The command line prints it as one line and exits with code 2.
    """


def unknown(kind: str, given: str, allowed: Iterable[str]) -> InputError:
    """Make the error for a name that is not in a list, naming its nearest neighbour.

    Parameters
    ----------
    kind
        What the name stands for, such as ``"model"``.
    given
        The name that was not found.
    allowed
        The names that exist.

    Returns
    -------
    InputError
        To be raised by the caller.
    """
    names = sorted(allowed)
    near = get_close_matches(given, names, n=3, cutoff=0.5)
    near.sort(key=lambda name: sorted(name) != sorted(given))  # swapped letters are nearer than a wrong one
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"unknown {kind} {given!r}: {hint}allowed are {', '.join(names)}")
