"""The command line: what `prerelax --help` shows, how much of it there is, and words of earlier versions."""

from collections.abc import Iterator

import click
import pytest
import typer
from typer.testing import CliRunner

from prerelax.cli import app
from prerelax.errors import UserError
from prerelax.verbs.renamed import RENAMED_VERBS


def verbs() -> dict[str, click.Command]:
    """Every verb by the words that call it."""

    def below(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
        groups = getattr(command, "commands", None)
        if groups is None:
            yield " ".join(words), command
            return
        for name, each in groups.items():
            yield from below(each, (*words, name))

    return dict(below(typer.main.get_command(app), ()))


def test_help_shows_every_verb_with_a_sentence() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    for name, verb in verbs().items():
        assert verb.help, name
        assert f"│ {name.split()[0]} " in shown, name


def test_options_say_what_they_mean() -> None:
    for name, verb in verbs().items():
        for option in verb.params:
            assert getattr(option, "help", None) or isinstance(option, click.Argument), (name, option.name)


@pytest.mark.parametrize(("old", "new"), RENAMED_VERBS.items())
def test_verbs_of_earlier_versions_are_refused_with_their_new_name(old: str, new: str) -> None:
    assert old not in verbs() and " ".join(new.split()[:2]) in verbs()
    result = CliRunner().invoke(app, [*old.split(), "in", "out"])
    assert isinstance(result.exception, UserError)  # which `main` prints, with exit status 2
    assert str(result.exception) == f"`prerelax {old}` is now `prerelax {new}`"
