"""A study is one folder and one line, and its command says what it takes."""

import inspect
import json
import re
from importlib import import_module
from pathlib import Path
from typing import get_args

import click
import pytest
import typer
from typer.core import TyperGroup, TyperOption
from typer.testing import CliRunner

import prerelax.studies
from prerelax.campaign.config import load_campaign
from prerelax.campaign.layout import Layout
from prerelax.campaign.section import ConfigError
from prerelax.cli import app
from prerelax.errors import UserError
from prerelax.settings import read_settings as read_settings_file
from prerelax.studies import STUDIES, load_studies, rule_files
from prerelax.studies.command import files_of, read_settings
from prerelax.studies.paths.config import PathSettings
from prerelax.studies.study import (
    PathsEvaluated,
    Study,
    StudyFigure,
    StudyFiles,
    as_json,
    paths_evaluated,
)

FOLDER = Path(inspect.getfile(prerelax.studies)).parent
CAMPAIGN = {
    "campaign": "x",
    "molecules": "m.csv",
    "starts": {
        "mmff94": {"kind": "forcefield"},
        "edm": {"kind": "diffuse", "model": "edm-qm9-small", "sampler": "edm", "fallback": "none"},
    },
}
FROM_NOISE = {
    "runs": {"jt": {"model": "m", "sampler": "jt"}},
    "compositions": {"qm9": {"like": "a.npz"}},
    "known": ["a.npz"],
}


def test_every_folder_is_a_study_and_holds_all_of_it() -> None:
    folders = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert folders == set(STUDIES)
    for name in STUDIES:
        for part in ("config.py", "command.py", "figures.py"):
            assert (FOLDER / name / part).is_file(), f"{name}/{part}"
        said = "".join(path.read_text() for path in (FOLDER / name).glob("[cr]*[gs].*"))
        captions = {path.name for path in (FOLDER / name / "report").glob("*.rst")}
        assert captions and all(caption in said or "{name}.rst" in said for caption in captions), name
        assert not (FOLDER / name / "verbs.py").exists()


def test_a_study_that_is_not_asked_for_costs_nothing() -> None:
    assert rule_files(load_studies(load_campaign(CAMPAIGN))) == []
    asked = load_studies(load_campaign(CAMPAIGN | {"studies": {"outlier": {"gfn2": ["edm"]}}}))
    assert list(asked) == ["outlier"]
    assert [Path(file).relative_to(FOLDER).as_posix() for file in rule_files(asked)] == ["shared.smk"]
    asked = load_studies(load_campaign(CAMPAIGN | {"studies": {"from_noise": FROM_NOISE}}))
    assert [Path(file).relative_to(FOLDER).as_posix() for file in rule_files(asked)] == [
        "shared.smk",
        "from_noise/rules.smk",
    ]


def test_every_figure_of_a_campaign_has_a_command_and_a_caption() -> None:
    """Of all campaigns that are shipped; their own weights and tables are what the figures wait for."""
    drawn: dict[str, StudyFigure] = {}
    for path in (FOLDER.parents[2] / "config/campaigns").glob("*.yaml"):
        campaign = load_campaign(read_settings_file(path))
        studies = load_studies(campaign)
        files = StudyFiles(campaign, Layout.of("x"), ["000", "001"], paths_evaluated(studies.values()))
        for study in studies.values():
            for figure in study.figures(files):
                assert (FOLDER / figure.caption).is_file() and figure.inputs, figure
                assert figure.words[0] in {name.replace("_", "-") for name in STUDIES}
                drawn[figure.name] = figure
    assert {"paths_gfn2", "generation", "schedules", "shells", "relaxation_ratios"} <= set(drawn)
    starts = {Path(str(path)).parent.name for path in drawn["paths_gfn2"].inputs}
    assert starts >= set(drawn["paths_gfn2"].settings.starts)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("studies", "sentence"),
    [
        ({"path": {}}, "unknown key studies.path; did you mean paths?"),
        ({"paths": {"gfn2": {"starts": ["edm"], "evry": 2}}}, "studies.paths.gfn2.evry; did you mean every?"),
        ({"paths": {"gfn2": {"starts": []}}}, "studies.paths.gfn2.starts"),
        ({"outlier": {"dft": ["edm"]}}, "studies.outlier.dft: dft is not among the targets (gfn2)"),
        ({"shells": {"model": "m"}}, "the key studies.shells.structures is missing"),
    ],
)
def test_mistakes_in_studies_are_one_sentence(studies: dict[str, object], sentence: str) -> None:
    campaign = load_campaign(CAMPAIGN | {"studies": studies})
    with pytest.raises(ConfigError) as caught:
        load_studies(campaign)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_one_evaluation_serves_all_studies() -> None:
    class Wants(Study):
        def __init__(self, *paths: PathsEvaluated) -> None:
            self.paths = paths

        def paths_evaluated(self):  # type: ignore[no-untyped-def]
            return iter(self.paths)

    few, more = PathsEvaluated("t", "a", 3, 7), PathsEvaluated("t", "a", 5, 1)
    everything = PathsEvaluated("t", "b", None, 4)
    wanted = paths_evaluated([Wants(few, everything), Wants(more, PathsEvaluated("t", "b", 2, 6))])
    assert wanted["t", "a"][2:] == (5, 1)
    assert wanted["t", "b"][2:] == (None, 2)


def test_settings_are_read_back_as_they_were_handed_on(tmp_path: Path) -> None:
    settings = PathSettings(starts=["edm"], every=3)
    assert read_settings(PathSettings, as_json(settings)) == settings
    (tmp_path / "paths.yaml").write_text("starts: [edm]\nevery: 3\n")
    assert read_settings(PathSettings, str(tmp_path / "paths.yaml")) == settings
    for text, sentence in (
        ('{"starts": ["edm"], "zeros": "x"}', "--settings: unknown key zeros; did you mean zero?"),
        ("{starts: ", "--settings: cannot be read"),
        ("absent.json", "neither JSON nor a file"),
    ):
        with pytest.raises(UserError, match="--settings") as caught:
            read_settings(PathSettings, text)
        assert sentence in str(caught.value)


def test_a_step_says_which_files_it_takes() -> None:
    files = [Path("a"), Path("b"), Path("c")]
    assert files_of("known", files, "FILE... OUT.smi") == files
    with pytest.raises(UserError, match=re.escape("phases takes CHAINS.npz FIGURE, not 3 files")):
        files_of("phases", files, "CHAINS.npz FIGURE")
    with pytest.raises(UserError, match=re.escape("known takes FILE... OUT.smi, not 1 file")):
        files_of("known", files[:1], "FILE... OUT.smi")


def test_the_commands_have_few_options_and_name_every_step() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    study = group.commands["study"]
    assert isinstance(study, TyperGroup)
    study.list_commands(click.Context(study))  # which imports them
    assert set(study.commands) == {name.replace("_", "-") for name in STUDIES}
    options = [
        option
        for command in study.commands.values()
        for option in command.params
        if isinstance(option, TyperOption) and option.name != "help"
    ]
    assert len(options) <= 15
    for name in STUDIES:
        function = getattr(import_module(f"prerelax.studies.{name}.command"), name)
        step = inspect.signature(function).parameters.get("step")
        text = CliRunner().invoke(app, ["study", name.replace("_", "-"), "--help"]).output
        for word in get_args(get_args(step.annotation)[0]) if step else ():
            assert f" {word} " in text, f"{name} {word}"


def test_what_is_wrong_with_a_call_is_one_sentence(tmp_path: Path) -> None:
    settings = json.dumps({"runs": [["c", "r"]]})
    call = ["study", "from-noise", "shares", str(tmp_path), str(tmp_path / "f"), "--settings", settings]
    result = CliRunner().invoke(app, call)
    assert isinstance(result.exception, UserError)
    assert "judged.csv" in str(result.exception) and "prerelax study from-noise judge" in str(
        result.exception
    )


def test_studies_declare_their_keys_once() -> None:
    keys = [key for name in STUDIES for key in import_module(f"prerelax.studies.{name}.config").KEYS]
    assert len(keys) == len(set(keys)) == 10
