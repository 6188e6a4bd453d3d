"""Short forms of a campaign's config stand for exactly what they say."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from prerelax.campaign.config import load_campaign
from prerelax.campaign.spelled_out import spelled_out
from prerelax.campaign.stages import read_campaign
from prerelax.campaign.trainings import training
from prerelax.errors import UserError

MINIMAL: dict[str, Any] = {"campaign": "x", "molecules": "m.csv"}
TRAINING: dict[str, Any] = {"network": {"name": "egnn", "n_layers": 4}, "data": {"path": "a.npz"}}


def write(path: Path, **content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def test_keys_in_a_name_stand_for_a_start_each() -> None:
    starts = {
        "mmff94": {"kind": "forcefield"},
        "epoch{epoch}-n{steps}": {"kind": "diffuse", "epoch": [0.25, 4], "steps": [20, 50]},
        "jt-{from}": {"kind": "diffuse", "from": ["mmff94"], "model": "jt"},
        "diffused": {"kind": "diffused", "from": "mmff94", "steps": [50, 100]},
    }
    made = spelled_out({**MINIMAL, "starts": starts})["starts"]
    assert list(made) == [
        *("mmff94", "epoch0-25-n20", "epoch0-25-n50", "epoch4-n20", "epoch4-n50"),
        *("jt-mmff94", "diffused"),
    ]
    assert made["epoch0-25-n50"] == {"kind": "diffuse", "epoch": 0.25, "steps": 50}
    assert made["jt-mmff94"] == {"kind": "diffuse", "from": "mmff94", "model": "jt"}
    assert made["diffused"] == starts["diffused"]


@pytest.mark.parametrize(
    ("starts", "sentence"),
    [
        ({"n{steps}": {"kind": "diffuse", "steps": 20}}, r"starts.n\{steps\}: steps must be a list"),
        ({"n{step}": {"kind": "diffuse", "steps": [20]}}, r"starts.n\{step\}: step must be a list"),
        ({"n20": {"kind": "diffuse"}, "n{steps}": {"kind": "diffuse", "steps": [20]}}, "already a start n20"),
    ],
)
def test_names_that_stand_for_nothing_are_refused(starts: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        spelled_out({**MINIMAL, "starts": starts})


def test_a_campaign_extends_another_and_says_what_differs(tmp_path: Path) -> None:
    write(
        tmp_path / "full.yaml",
        **MINIMAL,
        shard_size=50,
        starts={"mmff94": {"kind": "forcefield", "max_iterations": 200}, "uff": {"kind": "forcefield"}},
        targets={},
    )
    small = write(
        tmp_path / "mini/small.yaml",
        extends="../full.yaml",
        campaign="small",
        shard_size=None,
        starts={"uff": None, "mmff94": {"max_iterations": 9}},
    )
    campaign = read_campaign(small)
    assert (campaign.campaign, campaign.shard_size, list(campaign.starts)) == ("small", 100, ["mmff94"])
    assert campaign.starts["mmff94"].model_dump()["max_iterations"] == 9


def test_a_training_lies_in_the_campaign_or_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("config/training/egnn.yaml"), **TRAINING)
    path = write(
        Path("config/campaigns/c.yaml"),
        **MINIMAL,
        sets={"minima": {"molecules": "m.csv", "engine": "tblite", "method": "GFN2-xTB"}},
        denoisers={
            "file": "config/training/egnn.yaml",
            "large": {
                "extends": "../training/egnn.yaml",
                "network": {"n_layers": 9},
                "data": {"path": None, "set": "minima"},
                "weights": "file",
            },
        },
    )
    campaign = read_campaign(path)
    assert training(campaign, "file").to_dict()["data"]["path"] == "a.npz"
    large = training(campaign, "large")
    assert large.network.model_dump() == {"name": "egnn", "n_layers": 9}
    assert large.to_dict()["data"]["path"] == "results/x/sets/minima.npz"
    assert large.weights == "results/x/training/file/model"
    assert large.run.folder == "results/x/training/large"


def test_what_is_kept_of_a_campaign_needs_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "egnn.yaml", **TRAINING)
    config = {**MINIMAL, "extends": "base.yaml", "denoisers": {"file": "egnn.yaml"}}
    write(
        tmp_path / "base.yaml",
        seed=3,
        starts={"n{steps}": {"kind": "diffuse", "from": "rdkit", "steps": [20]}},
        baseline="n20",
    )
    write(tmp_path / "campaign.yaml", **config)
    whole = spelled_out(config, [tmp_path / "campaign.yaml"])
    for path in tmp_path.glob("*.yaml"):
        path.unlink()
    assert load_campaign(whole).seed == 3
    assert spelled_out(whole) == whole


def test_a_set_that_the_campaign_does_not_make_is_named() -> None:
    wrong = {**TRAINING, "data": {"set": "minma"}}
    sets = {"minima": {"molecules": "m.csv", "engine": "tblite", "method": "GFN2-xTB"}}
    with pytest.raises(
        UserError, match=r"denoisers\.a.data.set: minma is not among the sets; did you mean minima"
    ):
        load_campaign({**MINIMAL, "sets": sets, "denoisers": {"a": wrong}})
    with pytest.raises(UserError, match=r"unknown key denoisers\.a\.network_; did you mean network"):
        load_campaign({**MINIMAL, "denoisers": {"a": {**TRAINING, "network_": {}}}})


def test_a_key_on_is_no_truth_value() -> None:
    start = yaml.safe_load("{kind: diffuse, adapt: {target: gfn2, on: molecules}}")
    assert True in start["adapt"]
    whole = spelled_out({"starts": {"mine": start}})
    assert whole["starts"] == {"mine": start | {"adapt": {"target": "gfn2", "on": "molecules"}}}
