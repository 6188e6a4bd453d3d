"""PaiNN, its heads and their import against SchNetPack 2.1.1 and MoreRed (`morered.npz`, `morered_*.pt`)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prerelax.denoisers.import_morered import read_morered
from prerelax.networks import build_network
from prerelax.networks.batch import Batch, make_batch


@pytest.fixture(scope="module")
def golden(golden_folder: Path) -> Any:
    return np.load(golden_folder / "morered.npz")


@pytest.fixture(scope="module")
def batch(golden: Any) -> Batch:
    atoms = np.split(np.arange(len(golden["numbers"])), np.cumsum(golden["n_atoms"])[:-1])
    return make_batch([golden["numbers"][a] for a in atoms], [golden["positions"][a] for a in atoms])


def load(folder: Path, kind: str) -> Any:
    config, weights = read_morered(folder / f"morered_{kind}.pt")
    network = build_network(config)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def assert_equal(ours: torch.Tensor, theirs: np.ndarray) -> None:
    assert np.abs(ours.numpy() - theirs).max() <= 1e-5 * np.abs(theirs).max()


def test_golden_joint_network(golden: Any, golden_folder: Path, batch: Batch) -> None:
    noise, times = load(golden_folder, "jt").noise_and_atom_times(batch)
    assert_equal(noise, golden["jt/eps_pred"])
    assert_equal(times, golden["jt/t_pred"])


def test_golden_noise_network(golden: Any, golden_folder: Path, batch: Batch) -> None:
    times = torch.from_numpy(golden["t_in"]).float()
    assert_equal(load(golden_folder, "ddpm")(batch, times), golden["ddpm/eps_pred"])


def test_golden_time_network(golden: Any, golden_folder: Path, batch: Batch) -> None:
    assert_equal(load(golden_folder, "time").atom_times(batch), golden["time/t_pred"])
