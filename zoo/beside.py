"""A process beside this one, which runs a module of ours and talks over a line."""

from __future__ import annotations

import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection


def start(module: str) -> tuple[Connection, subprocess.Popen[bytes]]:
    """Start a module, which gets the descriptor of its end of a line as its only argument.

    Parameters
    ----------
    module
        Its dotted name.

    Returns
    -------
    line
        This process' end; the other one is closed when the process ends.
    process
        What was started.
    """
    line, theirs = Pipe()
    with theirs:
        number = theirs.fileno()
        # -P: the working directory may hold a zoo.py
        command = [sys.executable, "-P", "-m", module, str(number)]
        return line, subprocess.Popen(command, pass_fds=[number])
