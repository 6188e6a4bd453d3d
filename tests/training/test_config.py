"""Configs of trainings: what is read, and how mistakes are named."""

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from prerelax.errors import UserError
from prerelax.networks import NETWORKS
from prerelax.settings import expand_path
from prerelax.training.config import NetworkConfig, TrainingConfig, read_config

MINIMAL: dict[str, Any] = {
    "network": {"name": "egnn"},
    "data": {"path": "set.npz"},
    "run": {"folder": "out"},
}


def _write(tmp_path: Path, config: Any) -> Path:
    path = tmp_path / "train.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    return path


def test_defaults_are_the_papers(tmp_path: Path) -> None:
    config = read_config(_write(tmp_path, MINIMAL))
    optimization = config.optimization
    assert (optimization.learning_rate, optimization.weight_decay, optimization.amsgrad) == (
        1e-4,
        1e-12,
        True,
    )
    assert (optimization.batch_size, optimization.ema_decay, optimization.gradient_clip) == (
        64,
        0.9999,
        "edm",
    )
    assert config.loss.max_step is None


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        (
            "optimization",
            "learning_rat",
            1e-3,
            "unknown key optimization.learning_rat; did you mean learning_rate",
        ),
        ("optimization", "batch_size", "many", "optimization.batch_size must be a whole number, not 'many'"),
        ("optimization", "batch_size", 6.5, "optimization.batch_size must be a whole number"),
        ("optimization", "amsgrad", 1, "optimization.amsgrad must be true or false"),
        ("optimization", "max_hours", "long", "optimization.max_hours must be a number"),
        ("optimization", "max_hours", 0, "optimization.max_hours must be more than 0, not 0"),
        ("run", "keep_epochs", 3, "run.keep_epochs must be a list"),
        ("run", "keep_epochs", [1, "two"], r"run.keep_epochs\[1\] must be a number"),
        ("optimization", "decay", "cosin", "optimization.decay must be constant or cosine, not 'cosin'"),
        ("optimization", "gradient_clip", "norm", "optimization.gradient_clip must be edm or a number, not"),
        ("optimization", "gradient_clip", -1, "optimization.gradient_clip must be edm or at least 0, not -1"),
        ("run", "device", "gpu", "run.device must be auto, cpu or cuda, not 'gpu'"),
        ("loss", "name", "noisy", "loss.name must be one of .*; did you mean noise"),
        ("loss", "options", {"noise_weight": 1}, "unknown key loss.options.noise_weight"),
        ("network", "name", "egn", "network.name must be egnn, .* or staged, not 'egn'; did you mean egnn"),
        ("loss", "max_step", True, "loss.max_step must be a whole number"),
    ],
)
def test_mistakes_name_file_and_key(part: str, key: str, value: Any, message: str, tmp_path: Path) -> None:
    config = {**MINIMAL, part: {**MINIMAL.get(part, {}), key: value}}
    with pytest.raises(UserError, match=rf"train\.yaml: {message}"):
        read_config(_write(tmp_path, config))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network: {name: egnn}\nrun: {folder: out}\n", "the key data is missing"),
        ("network: {name: egnn}\ndata: {}\nrun: {folder: out}\n", "data: the key path is missing"),
        ("[1, 2]", "must be a mapping"),
        ("a: [", "is not YAML"),
        ("", "must be a mapping"),
    ],
)
def test_other_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read_config(_write(tmp_path, text))


def test_every_network_can_be_named() -> None:
    names = NetworkConfig.model_fields["name"].annotation
    assert set(get_args(names)) == set(NETWORKS)


def test_reading_a_config_imports_nothing_heavy() -> None:
    code = "import sys, prerelax.training.config; assert not {'torch', 'rdkit', 'ase'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_absent_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml cannot be read"):
        read_config(tmp_path / "absent.yaml")


def test_numbers_as_yaml_writes_them(tmp_path: Path) -> None:
    config = read_config(
        _write(tmp_path, yaml.safe_dump(MINIMAL) + "optimization: {learning_rate: 1e-3, max_hours: 2}\n")
    )
    assert (config.optimization.learning_rate, config.optimization.max_hours) == (1e-3, 2.0)


def test_paths_expand_variables_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMEWHERE", "/data")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert expand_path("$SOMEWHERE/a.npz") == Path("/data/a.npz")
    assert expand_path("${SOMEWHERE}/a.npz") == Path("/data/a.npz")
    assert expand_path("${NOWHERE:-../shared}/a.npz") == Path("../shared/a.npz")
    with pytest.raises(UserError, match="NOWHERE is not set"):
        expand_path("$NOWHERE/a.npz")


@pytest.mark.parametrize("loss", ["noise", "morered-joint"])
def test_what_a_campaign_hands_on_is_the_same_training(loss: str, tmp_path: Path) -> None:
    config = read_config(_write(tmp_path, MINIMAL | {"loss": {"name": loss}}))
    assert TrainingConfig.model_validate_json(config.to_json()) == config
