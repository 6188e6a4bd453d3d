"""A config that is wrong never starts a campaign, and says why in one sentence."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from prerelax.campaign.config import load_campaign
from prerelax.campaign.handing_on import (
    base_of,
    displacing,
    embedding,
    evaluating,
    is_known_before,
    making_start,
    own_models,
    relaxing,
)
from prerelax.campaign.layout import Layout
from prerelax.campaign.section import ConfigError
from prerelax.campaign.spelled_out import spelled_out
from prerelax.campaign.stages import read_campaign
from prerelax.campaign.starts import DiffuseStart
from prerelax.campaign.targets import Target
from prerelax.campaign.trainings import training
from prerelax.errors import UserError
from prerelax.relaxation.settings import Relaxation
from prerelax.set_making.options import LIKE_QM7X, DisplacementOptions
from prerelax.settings import model_from, read_settings
from prerelax.studies import json_schema, load_studies
from prerelax.studies.relaxation.config import RelaxationStudy
from prerelax.studies.training.config import TrainingStudy
from prerelax.training.config import read_config

SMALL = "edm-qm9-small"
MINIMAL: dict[str, Any] = {"campaign": "x", "molecules": "m.csv"}
STARTS: dict[str, Any] = {
    "mmff94": {"kind": "forcefield"},
    "gfn2": {"kind": "relax", "engine": "tblite", "method": "GFN2-xTB"},
    "edm-n50": {"kind": "diffuse", "steps": 50, "noise_free": True},
}

MOLECULES = {"target": "gfn2", "on": "molecules"}


def with_target(**changes: Any) -> dict[str, Any]:
    return MINIMAL | {"targets": {"t": {"engine": "tblite", "method": "GFN2-xTB"} | changes}}


def test_two_keys_are_enough() -> None:
    campaign = load_campaign(MINIMAL)
    assert list(campaign.starts) == ["mmff94", "edm-n50"]
    assert campaign.targets["gfn2"].fmax_ev_ang == 0.03


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"campaign": "x"}, "the key molecules is missing"),
        (MINIMAL | {"molcules": "m.csv"}, "unknown key molcules; did you mean molecules?"),
        (
            MINIMAL | {"starts": {"mmff94": {"kind": "forcefield", "max_iteration": 200}}},
            "unknown key starts.mmff94.max_iteration; did you mean max_iterations?",
        ),
        (MINIMAL | {"starts": {"mmff94": {"kind": "force-field"}}}, "starts.mmff94.kind must be one of"),
        (MINIMAL | {"starts": {"MMFF": {"kind": "forcefield"}}}, "starts.MMFF"),
        (MINIMAL | {"starts": STARTS, "baseline": "mmff49"}, "did you mean mmff94?"),
        (MINIMAL | {"starts": STARTS | {"a": {"kind": "diffuse", "from": "gfn1"}}}, "did you mean gfn2?"),
        (MINIMAL | {"starts": STARTS | {"gfn2": STARTS["gfn2"] | {"from": "gfn2"}}}, "made from itself"),
        (MINIMAL | {"starts": STARTS | {"cold": {"kind": "embed"}}}, "the start named rdkit"),
        (
            MINIMAL | {"starts": STARTS | {"a": {"kind": "diffuse", "adapt": {"target": "gfn3"}}}},
            "starts.a.adapt.target: gfn3 is not among the targets; did you mean gfn2?",
        ),
        (
            MINIMAL
            | {"starts": STARTS | {"a": {"kind": "diffuse", "from": "gfn2", "adapt": {"target": "gfn2"}}}},
            "starts.a.adapt: what is adapted starts from a force field's geometries",
        ),
        (
            MINIMAL
            | {"starts": STARTS | {"a": {"kind": "diffuse", "adapt": {"target": "gfn2", "count": 5}}}},
            "starts.a.adapt.count must be at least 20, not 5",
        ),
        (
            MINIMAL
            | {
                "starts": STARTS | {"a": {"kind": "diffuse", "adapt": {"target": "gfn2", "rounds": [60, 99]}}}
            },
            "starts.a.adapt: rounds are of molecules: say `on: molecules`",
        ),
        (
            MINIMAL
            | {"starts": STARTS | {"a": {"kind": "diffuse", "adapt": MOLECULES | {"rounds": [60, 60]}}}},
            "starts.a.adapt: rounds must grow",
        ),
        (
            MINIMAL
            | {"starts": STARTS | {"a": {"kind": "diffuse", "model": "auto", "adapt": {"target": "gfn2"}}}},
            "starts.a.adapt: name the model that is adapted; auto chooses among several",
        ),
        (
            MINIMAL
            | {"starts": STARTS | {"a": {"kind": "diffuse", "model": SMALL, "adapt": {"target": "gfn2"}}}},
            f"starts.a.adapt: {SMALL} cannot be adapted: a base is a relaxer",
        ),
        (
            MINIMAL | {"starts": STARTS | {"a": {"kind": "diffuse", "model": SMALL, "sampler": "jt"}}},
            f"starts.a.sampler: {SMALL} is no model for the sampler jt",
        ),
        (
            MINIMAL | {"starts": STARTS | {"a": {"kind": "diffuse", "model": "Relaxer-QM9"}}},
            "starts.a.model: no denoiser is called Relaxer-QM9; did you mean relaxer-qm9?",
        ),
        (
            MINIMAL | {"campaign": "été"},
            "campaign must be letters a to z, digits, dots, dashes and underscores, the first a letter or "
            "digit, not 'été'",
        ),
        (
            MINIMAL | {"starts": STARTS | {"a" * 300: {"kind": "diffuse"}}},
            "must have at most 100 letters, not 300",
        ),
        (with_target(only={"elements": ["C", "CL"]}), "'CL' is no element's symbol; did you mean Cl?"),
        (with_target(fmx=0.01), "unknown key targets.t.fmx; did you mean fmax?"),
        (with_target(only={"max_atom": 6}), "unknown key targets.t.only.max_atom; did you mean max_atoms?"),
        (with_target(fmax=-1), "targets.t.fmax must be more than 0, not -1"),
        (with_target(fmax=float("inf")), "targets.t.fmax must be finite"),
        (with_target(fmax=float("nan")), "targets.t.fmax must be finite"),
        (with_target(hessian="gfn2"), "the key targets.t.hessian is now called cheap_level"),
        (with_target(cheap_level="gnf2"), "did you mean gfn2?"),
        (with_target(optimizer="bgfs"), "unknown optimizer 'bgfs'; did you mean bfgs?"),
        (with_target(kick=True), "kick leaves saddle points that check_minimum finds"),
        (
            MINIMAL | {"starts": STARTS | {"edm-n50": {"kind": "diffuse", "steps": 1001}}},
            "starts.edm-n50.steps must be at most 1000",
        ),
        (MINIMAL | {"seed": -1}, "seed must be at least 0, not -1"),
        (
            MINIMAL | {"conformers": 10_001},
            "conformers must be at most 10000, not 10001",
        ),
        (with_target(method="GFN3-xTB"), "GFN3-xTB"),
        (with_target(engine="pyscf", method="B3LYPP", basis="def2-SVP"), "B3LYPP"),
        (with_target(engine="pyscf", method="PBE0", basis="def2-TZVPX"), "def2-TZVPX"),
        (with_target(engine="pyscf", method="PBE0"), "basis"),
        (with_target(starts=["edm-n50"]), "the baseline mmff94 is missing"),
    ],
)
def test_each_mistake_is_one_sentence(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_campaign(config)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_twice_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("campaign: x\nmolecules: m.csv\nstarts:\n  a: {kind: embed}\n  a: {kind: embed}\n")
    with pytest.raises(UserError, match="the key a stands there twice"):
        read_campaign(path)
    with pytest.raises(UserError, match="the key a stands there twice"):
        spelled_out({"campaign": "x"}, [path])


LAYOUT = Layout.of("x")


def test_verbs_are_handed_what_differs_from_the_defaults() -> None:
    campaign = load_campaign(
        MINIMAL
        | {"starts": STARTS}
        | {
            "targets": {
                "b3lyp": {"engine": "pyscf", "method": "qm9", "timeout_s": 60, "only": {"max_atoms": 6}}
            }
        }
    )
    assert json.loads(embedding(campaign)) == {}
    assert json.loads(making_start(campaign, LAYOUT, "mmff94")) == {}
    assert json.loads(making_start(campaign, LAYOUT, "edm-n50")) == {"steps": 50, "noise_free": True}
    handed = relaxing(campaign, LAYOUT, campaign.targets["b3lyp"])
    relaxation = model_from(Relaxation, json.loads(handed))
    assert (relaxation.engine, relaxation.method, relaxation.timeout_s) == ("pyscf", "qm9", 60)
    assert relaxation.only.max_atoms == 6
    assert set(json.loads(handed)) == {"engine", "method", "timeout_s", "only"}


def test_models_of_the_campaigns_own_are_named_by_their_folders(repository: Path) -> None:
    recipe = str(repository / "config/training/mlff-qm7x-small.yaml")
    own = {"denoisers": dict.fromkeys(("net", "when", "ff"), recipe)}
    starts = STARTS | {
        "own": {"kind": "diffuse", "model": "net", "time_model": "when"},
        "early": {"kind": "diffuse", "model": "net", "epoch": 3},
    }
    targets = {"ff": {"engine": "mlff", "method": "ff"}}
    campaign = load_campaign(MINIMAL | own | {"starts": starts, "targets": targets})
    handed = json.loads(making_start(campaign, LAYOUT, "own"))
    assert handed == {
        "model": "results/x/training/net/model",
        "time_model": "results/x/training/when/model",
    }
    early = json.loads(making_start(campaign, LAYOUT, "early"))
    assert early == {"model": "results/x/training/net", "epoch": 3}, "where the verb looks for epochs"
    at_target = json.loads(relaxing(campaign, LAYOUT, campaign.targets["ff"]))
    assert at_target["method"] == "results/x/training/ff/model"
    assert own_models(campaign, campaign.starts["own"]) == ["net", "when"]


def test_starts_know_their_source_and_targets_their_starts() -> None:
    campaign = load_campaign(MINIMAL | {"starts": STARTS | {"rdkit": {"kind": "embed"}}})
    assert campaign.source("mmff94") == "rdkit"
    assert campaign.source("edm-n50") == "mmff94"
    assert campaign.starts_of("gfn2") == ["mmff94", "gfn2", "edm-n50", "rdkit"]


def test_shipped_schema_is_the_models(repository: Path) -> None:
    shipped = json.loads((repository / "workflow/schemas/campaign.schema.json").read_text())
    assert shipped == json_schema(), "run: prerelax schema workflow/schemas/campaign.schema.json"


def test_the_schema_knows_what_the_shipped_configs_say(repository: Path) -> None:
    schema = json_schema()
    Validator = jsonschema.validators.validator_for(schema)
    Validator.check_schema(schema)
    campaign = Validator(schema)
    training_schema = Validator({"$ref": "#/$defs/TrainingConfig", "$defs": schema["$defs"]})
    for folder, whole in (("campaigns", campaign), ("training", training_schema)):
        for path in (repository / "config" / folder).glob("*.yaml"):
            whole.validate(yaml.safe_load(path.read_text()))
    with pytest.raises(jsonschema.ValidationError, match="batchsize"):
        training_schema.validate({"optimization": {"batchsize": 3}})
    with pytest.raises(jsonschema.ValidationError):
        campaign.validate({"starts": {"uff": {"kind": "forcefield", "steps": 3}}})


def test_shipped_configs_are_valid(repository: Path) -> None:
    files = list((repository / "config").rglob("*.yaml"))
    campaigns = list((repository / "config/campaigns").glob("*.yaml"))
    trainings = list((repository / "config/training").glob("*.yaml"))
    short = list((repository / "config/short").glob("*.yaml"))
    assert campaigns and trainings and sorted(files) == sorted([*campaigns, *trainings, *short])
    assert len(files) <= 28
    for path in [repository / "config.yaml", *campaigns]:
        campaign = read_campaign(path)
        load_studies(campaign)
        for name in campaign.denoisers:
            training(campaign, name)
    index = (repository / "config/README.md").read_text()
    for path in trainings:
        read_config(path)
    for path in files:
        assert f"`{path.parent.name}/{path.name}`" in index


@pytest.mark.parametrize("name", ["edm-drugs-mini", "edm-qm9-mini", "morered-qm9-mini"])
def test_short_campaigns_lie_over_their_campaign(repository: Path, name: str) -> None:
    config = read_settings(repository / f"config/campaigns/{name}.yaml")
    laid_over(config, yaml.safe_load((repository / f"config/short/{name}.yaml").read_text()))
    campaign = load_campaign(config)
    load_studies(campaign)
    assert campaign.campaign == name


def laid_over(config: dict[str, Any], more: dict[str, Any]) -> None:
    """As Snakemake does with a second config file."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            laid_over(config[key], value)
        else:
            config[key] = value


def test_energies_are_asked_at_the_whole_level_of_a_target() -> None:
    target = Target(engine="tblite", method="GFN2-xTB", solvent="water", only={"max_atoms": 9})
    handed = json.loads(evaluating(target))
    assert handed["solvent"] == "water" and handed["only"] == {"max_atoms": 9}


SETS: dict[str, Any] = {
    "equilibria": {"molecules": "m.csv", "engine": "tblite", "method": "GFN1-xTB"},
    "labelled": {
        "molecules": "m.csv",
        "engine": "tblite",
        "method": "GFN1-xTB",
        "labels": {"engine": "tblite", "method": "GFN2-xTB"},
    },
}
RELAXATION: dict[str, Any] = MINIMAL | {
    "targets": {},
    "baseline": "displaced",
    "sets": SETS,
    "denoisers": {"ff": "config/training/mlff-qm7x-small.yaml"},
    "starts": {
        "displaced": {"kind": "displaced", "from": "rdkit", "set": "labelled"},
        "ff-displaced": {"kind": "relax", "from": "displaced", "engine": "mlff", "method": "ff"},
    },
}


def with_study(**changes: Any) -> dict[str, Any]:
    study = {"reference": "rdkit", "inputs": ["displaced"], "methods": ["ff"]} | changes
    return RELAXATION | {"studies": {"relaxation": study}}


def test_sets_and_relaxations_hang_together() -> None:
    campaign = load_campaign(with_study(repeats={"ff": ["ff"]}))
    relaxation = load_studies(campaign)["relaxation"]
    assert isinstance(relaxation, RelaxationStudy)
    assert relaxation.tables(campaign.starts)["methods"].inputs == {"displaced": ["ff"]}
    options = model_from(DisplacementOptions, json.loads(displacing(campaign, "labelled", 7)))
    assert options.minima.method == "GFN1-xTB" and options.labels.method == "GFN2-xTB"
    assert options.displacements == 7 and options.minima.fmax_ev_ang == 0.03
    assert options.minima.only == LIKE_QM7X


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (with_study(methods=["ff", "jt"]), "there is no start jt-displaced made from displaced"),
        (with_study(reference="minima"), "reference: minima is not among the starts"),
        (with_study(inputs=["diffused"]), "inputs: diffused is not among the starts"),
        (with_study(drawn_by="jt"), "drawn_by: there is no start jt-displaced"),
        (with_study(curves=["jt"]), "curves: jt is not among the denoisers"),
        (with_study(energies={"method": "no-such-functional"}), "studies.relaxation.energies"),
        (
            with_study(energies={"basis": "def2-SVP", "methods": ["jt"]}),
            "methods: there is no start jt-displaced",
        ),
        (RELAXATION | {"denoisers": {}}, "starts.ff-displaced.method: no model named 'ff'"),
        (RELAXATION | {"sets": {"labelled": SETS["equilibria"]}}, "labelled is neither an .npz nor among"),
        (
            MINIMAL | {"sets": {"a": {"engine": "tblite", "method": "GFN1-xTB"}}},
            "sets.a: give either molecules or from",
        ),
        (
            MINIMAL | {"sets": {"a": {"from": "b", "engine": "tblite", "method": "GFN1-xTB"}}},
            "sets.a.from: b is not among the sets without labels",
        ),
        (
            MINIMAL | {"sets": {"a": SETS["equilibria"] | {"evry": 2}}},
            "unknown key sets.a.evry; did you mean every",
        ),
    ],
)
def test_wrong_sets_and_studies_are_one_sentence(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        load_studies(load_campaign(config))


@pytest.mark.parametrize("name", ["morered-mini", "morered-qm7x"])
def test_the_papers_campaigns_are_whole(name: str, repository: Path) -> None:
    campaign = read_campaign(repository / f"config/campaigns/{name}.yaml")
    assert "relaxation" in load_studies(campaign) and not campaign.targets
    retrained = training(campaign, "jt-mlff")
    assert retrained.data.path == f"results/{name}/sets/mlff-minima.npz"
    assert retrained.run.folder == f"results/{name}/training/jt-mlff"


def test_a_target_without_checkpoints_has_no_speedup_over_training(repository: Path) -> None:
    campaign = read_campaign(repository / "config/campaigns/edm-drugs-mini.yaml")
    target = campaign.targets["gfn2-small"].model_copy(update={"starts": ["mmff94", "relaxer"]})
    few = campaign.model_copy(update={"targets": campaign.targets | {"gfn2-small": target}})
    study = TrainingStudy(["gfn2-small"])
    assert list(study.complaints(campaign)) == []
    assert list(study.complaints(few)) == [
        "studies.training: gfn2-small has no checkpoint's start from mmff94"
    ]


def test_an_adapted_model_is_made_in_the_results() -> None:
    adapt = {"target": "gfn2", "count": 60}
    start = {"kind": "diffuse", "model": "relaxer-drugs-small", "adapt": adapt}
    campaign = load_campaign(MINIMAL | {"starts": STARTS | {"mine": start}})
    layout = Layout.of("x")
    assert json.loads(making_start(campaign, layout, "mine")) == {"model": "results/x/adapted/mine"}
    assert base_of(campaign, layout, "mine") == "relaxer-drugs-small"
    made = campaign.starts["mine"]
    assert isinstance(made, DiffuseStart) and made.adapt is not None
    assert made.adapt.n_jobs == 6 and made.adapt.pilot.count == 60
    assert not is_known_before(campaign, made) and is_known_before(campaign, campaign.starts["edm-n50"])
