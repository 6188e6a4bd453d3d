"""Model folders and the import of EDM's own files, harmless and otherwise."""

import argparse
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from prerelax.denoisers.checkpoint import ModelError, list_models, load_model, save_model
from prerelax.denoisers.import_edm import import_edm, read_arguments
from prerelax.networks import build_network

CONFIG: dict[str, Any] = {
    "network": {"name": "egnn", "elements": [1, 6], "n_layers": 1, "n_features": 8},
    "schedule": {"kind": "polynomial", "timesteps": 500},
    "sampler": {"name": "edm", "steps": 20},
}


def _saved(folder: Path) -> Path:
    save_model(folder, build_network(CONFIG["network"]), CONFIG, card="# a card\n")
    return folder


def test_saved_model_is_loaded_back(tmp_path: Path) -> None:
    network = build_network(CONFIG["network"])
    save_model(tmp_path / "small", network, CONFIG)
    loaded = load_model(tmp_path / "small")
    assert (loaded.name, loaded.elements, loaded.schedule.timesteps) == ("small", (1, 6), 500)
    assert loaded.sampler_defaults["steps"] == 20
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.network.state_dict()[name], value)
    assert sorted(p.name for p in (tmp_path / "small").iterdir()) == [
        "SHA256SUMS",
        "config.yaml",
        "weights.safetensors",
    ]


def test_models_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _saved(tmp_path / "edm-small")
    monkeypatch.setenv("PRERELAX_MODELS", str(tmp_path))
    assert list_models() == ["edm-small"]
    assert load_model("edm-small").folder == tmp_path / "edm-small"
    with pytest.raises(ModelError, match="did you mean edm-small"):
        load_model("edm-smal")
    with pytest.raises(ModelError, match=r"a model folder holds"):
        load_model(tmp_path / "else/where")


def test_shipped_models_load() -> None:
    assert "edm-qm9-small" in list_models()
    for name in list_models():
        assert load_model(name).folder is not None


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "model")
    (folder / "SHA256SUMS").unlink()
    config = dict(CONFIG, network=dict(CONFIG["network"], n_features=16))
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ModelError, match="does not fit the network"):
        load_model(folder)
    (folder / "config.yaml").write_text("schedule: {}\n")
    with pytest.raises(ModelError, match="has no `network`"):
        load_model(folder)


def test_arguments_of_an_edm_training_are_read(tmp_path: Path, golden_folder: Path) -> None:
    arguments = argparse.Namespace(
        tanh=True,
        norm_constant=1,
        normalization_factor=1,
        aggregation_method="sum",
        include_charges=True,
        normalize_factors=[1, 4, 10],
        diffusion_noise_precision=1e-5,
        sin_embedding=False,
        save_epochs=None,
    )
    (tmp_path / "args.pickle").write_bytes(pickle.dumps(arguments))
    with_them, without = tmp_path / "with", tmp_path / "without"
    import_edm(golden_folder / "edm_state.npy", tmp_path / "args.pickle", with_them)
    import_edm(golden_folder / "edm_state.npy", None, without)
    configs = [
        yaml.safe_load((folder / "config.yaml").read_text())["network"] for folder in (with_them, without)
    ]
    assert configs[0] == configs[1]
    with np.load(golden_folder / "edm.npz") as arrays:
        width = arrays["state/dynamics.egnn.embedding.weight"].shape[0]
    assert configs[0]["n_features"] == width


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sin_embedding": True}, "sinusoidal"),
        ({"conditioning": ["alpha"]}, "conditioned on properties"),
        ({"normalize_factors": [2, 4, 10]}, "positions scaled"),
        ({"include_charges": False}, "fit neither"),
    ],
)
def test_variants_that_are_not_supported_are_named(
    change: dict[str, Any], message: str, tmp_path: Path, golden_folder: Path
) -> None:
    (tmp_path / "args.pickle").write_bytes(pickle.dumps(argparse.Namespace(**change)))
    with pytest.raises(ModelError, match=message):
        import_edm(golden_folder / "edm_state.npy", tmp_path / "args.pickle", tmp_path / "out")
    assert not (tmp_path / "out").exists()


class _RunsOnLoad:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_crafted_pickles_are_refused_and_not_run(tmp_path: Path, golden_folder: Path) -> None:
    proof = tmp_path / "it-ran"
    crafted = tmp_path / "args.pickle"
    for content in (_RunsOnLoad(proof), argparse.Namespace(tanh=_RunsOnLoad(proof)), {"tanh": True}):
        crafted.write_bytes(pickle.dumps(content))
        with pytest.raises(ModelError, match="not the pickled arguments"):
            read_arguments(crafted)
    weights = tmp_path / "weights.npy"
    torch.save({"dynamics.egnn.embedding.weight": _RunsOnLoad(proof)}, weights)
    with pytest.raises(ModelError, match="not a state dict"):
        import_edm(weights, None, tmp_path / "out")
    np.savez(tmp_path / "weights.npz", weight=np.array([_RunsOnLoad(proof)], dtype=object))
    with pytest.raises(ModelError, match="not a state dict"):
        import_edm(tmp_path / "weights.npz", None, tmp_path / "out")
    assert not proof.exists()


@pytest.mark.parametrize("content", [b"", b"not a file of torch", b"PK\x03\x04 half a zip"])
def test_other_files_are_not_weights(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.npy").write_bytes(content)
    with pytest.raises(ModelError, match="not a state dict"):
        import_edm(tmp_path / "weights.npy", None, tmp_path / "out")


def test_weights_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    network = build_network(CONFIG["network"])
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="weights that are not finite numbers"):
        save_model(tmp_path / "broken", network, CONFIG)
    assert not (tmp_path / "broken").exists()
