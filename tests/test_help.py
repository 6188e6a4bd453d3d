"""The command line: what `prerelax --help` shows, how much of it there is, and words of earlier versions."""

from collections.abc import Iterator

import click
import pytest
import typer
from typer.testing import CliRunner

from prerelax.cli import app
from prerelax.errors import UserError
from prerelax.verbs.renamed import RENAMED_OPTIONS, RENAMED_VERBS


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
            assert getattr(option, "help", None) or not is_option(option), (name, option.name)


@pytest.mark.parametrize(("old", "new"), RENAMED_VERBS.items())
def test_verbs_of_earlier_versions_are_refused_with_their_new_name(old: str, new: str) -> None:
    assert old not in verbs() and " ".join(new.split()[:2]) in verbs()
    result = CliRunner().invoke(app, [*old.split(), "in", "out"], prog_name="python -m prerelax")
    assert isinstance(result.exception, UserError)  # which `main` prints, with exit status 2
    assert str(result.exception) == f"`prerelax {old}` is now `prerelax {new}`"


@pytest.mark.parametrize(("old", "new"), RENAMED_OPTIONS.items())
def test_options_of_earlier_versions_are_refused_with_their_new_name(old: str, new: str) -> None:
    verb, option = old.rsplit(maxsplit=1)
    known = {name for each in verbs()[verb].params for name in each.opts}
    assert option not in known
    assert not new.startswith("--") or new in known
    result = CliRunner().invoke(app, [*verb.split(), "in", "out", option, "1"])
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == f"the option {option} is now {new}"


def test_there_are_not_too_many_of_them() -> None:
    """A new verb or option earns its place: these were 57 and 238."""
    top = typer.main.get_command(app)
    assert len(getattr(top, "commands", {})) <= 25
    found = verbs()
    options = [
        f"{name} {each.opts[0]}" for name, verb in found.items() for each in verb.params if is_option(each)
    ]
    assert len(found) <= 45
    assert len(options) <= 121, options


def is_option(parameter: object) -> bool:
    return getattr(parameter, "param_type_name", "") == "option"
