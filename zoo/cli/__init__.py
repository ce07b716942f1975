"""The command ``zoo``: each command in a module of its own, nothing heavy imported before it is needed."""

from __future__ import annotations

import errno
import sys
from io import TextIOWrapper
from typing import Any

import click

from zoo import __version__
from zoo.cli.convert import convert
from zoo.cli.doctor import doctor
from zoo.cli.eval import evaluate
from zoo.cli.export import export, export_check
from zoo.cli.fuse import fuse
from zoo.cli.measure import measure
from zoo.cli.models import info, list_models
from zoo.cli.pack import pack
from zoo.cli.predict import predict
from zoo.cli.prepare import prepare
from zoo.cli.record import GIVEN
from zoo.cli.rerun import rerun
from zoo.cli.sample import sample
from zoo.cli.scoreboard import scoreboard
from zoo.cli.serve import serve
from zoo.cli.track import track
from zoo.cli.train import train
from zoo.errors import InputError

AFTER_STOP = {
    "train": "stopped: finished epochs are kept, and the same command with --resume goes on",
    "predict": "stopped: what is finished is kept; --resume goes on (where --out is an OME-Zarr, without it)",
}


class Fault(click.ClickException):
    """Bad input: one line, exit code 2."""

    exit_code = 2


class Stopped(click.ClickException):
    """The user stopped the command: one line, and the exit code of Ctrl-C."""

    exit_code = 130


class Zoo(click.Group):
    """A group that turns bad input into one line."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the options before the command's name, and keep what was given for its record."""
        given = list(args[1])  # click takes the words out of the list
        try:
            context = super().make_context(*args, **kwargs)
        except click.exceptions.NoArgsIsHelpError:  # not an error to us: the help
            raise
        except click.UsageError as fault:
            raise Fault(f"{' '.join(fault.format_message().split())} (see 'zoo --help')") from None
        context.meta[GIVEN] = given
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
        try:
            return super().invoke(ctx)
        except InputError as fault:
            raise Fault(" ".join(str(fault).split())) from None
        except click.UsageError as fault:  # click prints four lines
            command = " ".join(filter(None, ["zoo", ctx.invoked_subcommand]))
            raise Fault(f"{' '.join(fault.format_message().split())} (see '{command} --help')") from None
        except KeyboardInterrupt:
            raise Stopped(AFTER_STOP.get(ctx.invoked_subcommand or "", "stopped")) from None
        except MemoryError as fault:
            raise Fault(
                f"not enough memory ({fault}): close other programs, or give a smaller image"
            ) from None
        except OSError as fault:
            if fault.filename is None or fault.errno == errno.EPIPE:  # click ends a broken pipe in silence
                raise
            raise Fault(f"{fault.filename}: {fault.strerror}; check its name and permissions") from None


@click.group(cls=Zoo, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="cellzoo")
def main() -> None:
    """Turn 3-D fluorescence stacks into counted, measured, checked cells and nuclei."""


COMMANDS = (
    list_models,
    info,
    prepare,
    train,
    predict,
    evaluate,
    scoreboard,
    measure,
    track,
    fuse,
    sample,
    convert,
    export,
    export_check,
    pack,
    serve,
    rerun,
    doctor,
)
for command in COMMANDS:
    main.add_command(command)
