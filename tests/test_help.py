"""The help of the command line: every verb under one heading, in a sentence."""

import re

from typer.testing import CliRunner

from prerelax.cli import app
from prerelax.verbs import SECTIONS


def test_every_verb_stands_under_one_heading() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    for heading in {"The chain", "Denoisers", "Campaigns", "Studies", *SECTIONS}:
        assert text.count(f"{heading}:\n") == 1, heading
    shown = re.findall(r"^  ([a-z][a-z0-9-]*)  +\S", text, re.MULTILINE)
    assert len(shown) == len(set(shown)) == len(app.registered_commands) + len(app.registered_groups)
    assert {"embed", "relax", "models", "plan"} < set(shown)


def test_headings_and_verbs_have_no_name_twice() -> None:
    names = [name for verbs in SECTIONS.values() for name in verbs]
    assert len(names) == len(set(names))
