"""The command line: what `prerelax --help` shows, how much of it there is, and words of earlier versions."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import prerelax
from prerelax.cli import app
from prerelax.errors import UserError
from prerelax.records.record import Record
from prerelax.records.shard import write_shard
from prerelax.verbs.renamed import RENAMED_OPTIONS, RENAMED_VERBS


def verbs() -> dict[str, click.Command]:
    """Every verb by the words that call it."""

    def below(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
        if not hasattr(command, "list_commands"):
            yield " ".join(words), command
            return
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from below(command.get_command(context, name), (*words, name))

    return dict(below(typer.main.get_command(app), ()))


def test_help_shows_every_verb_with_a_sentence() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    for name, verb in verbs().items():
        assert verb.help, name
        assert f"│ {name.split()[0]} " in shown, name


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"prerelax {prerelax.__version__}\n"


def test_flags_are_shown_without_a_value() -> None:
    shown = CliRunner().invoke(app, ["relax", "--help"], env={"COLUMNS": "200"}).output
    assert "--kick" in shown and "<bool>" not in shown


def test_the_first_help_imports_no_study() -> None:
    program = "import sys, prerelax.cli; print([m for m in sys.modules if m.startswith('prerelax.studies')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


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
    assert len(found) <= 51
    assert len(options) <= 141, options


def is_option(parameter: object) -> bool:
    return getattr(parameter, "param_type_name", "") == "option"


def test_a_wrong_engine_is_refused_with_the_right_name(tmp_path: Path) -> None:
    shard = tmp_path / "m.extxyz"
    write_shard(shard, [Record("a", np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 0.8]]))])
    call = ["relax", str(shard), str(tmp_path / "out.extxyz"), "--method", "GFN2-xTB", "--engine"]
    for name, hint in (("xtb", "xTB is the engine tblite"), ("pscf", "did you mean pyscf?")):
        result = CliRunner().invoke(app, [*call, name])
        assert isinstance(result.exception, UserError)
        assert str(result.exception) == f"unknown engine '{name}'; {hint}"


def test_options_that_have_to_be_given_are_named() -> None:
    result = CliRunner().invoke(app, ["relax", "in.extxyz", "out.extxyz", "--max-steps", "3"])
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == "give --engine and --method, or --settings"


def test_a_stage_says_what_became_of_its_rows(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("id,smiles\na,CO\nb,CCO\nc,not one\n")
    shards = [str(tmp_path / name) for name in ("m.csv", "a.extxyz", "b.extxyz")]
    for verb, *files in (("embed", *shards[:2]), ("forcefield", *shards[1:])):
        said = CliRunner().invoke(app, [verb, *files]).output
        assert said == f"{files[1]}: 3 rows, 2 ok, 1 input_error\n"
