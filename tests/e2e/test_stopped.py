"""What a user is told who stops a command by Ctrl-C."""

import pytest
from click.testing import CliRunner

from zoo.cli import main


@pytest.mark.parametrize(
    "words, told",
    [("train qcanet_nsn", "--resume"), ("predict classical a.tif --out o", "--resume"), ("list", "stopped")],
)
def test_a_stopped_command_tells_how_to_go_on(words, told, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(main.commands[words.split()[0]], "invoke", stop)
    done = CliRunner().invoke(main, words.split())
    assert done.exit_code == 130
    assert done.stderr.startswith("Error: stopped")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
