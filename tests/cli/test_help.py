"""Every command's --help says all that its docstring says: markup of the help's renderer loses nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli.main import app


def commands() -> Iterator[tuple[list[str], str]]:
    """The words of each command and the help it was given."""

    def walk(command: Any, words: list[str]) -> Iterator[tuple[list[str], str]]:
        children = getattr(command, "commands", None)
        if children is None:
            yield words, command.help or ""
            return
        for name, child in children.items():
            yield from walk(child, [*words, name])

    yield from walk(typer.main.get_command(app), [])


@pytest.mark.parametrize(("words", "text"), [pytest.param(w, t, id=" ".join(w)) for w, t in commands()])
def test_help_shows_every_word_of_the_docstring(words: list[str], text: str) -> None:
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    missing = [word for word in text.replace("`", " ").split() if word not in result.output]
    assert not missing, f"mohur {' '.join(words)} --help lost {missing}"
