"""MoreRed's schedule and samplers against the original's numbers (`morered.npz`), with its noise injected."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from prerelax.denoisers.import_morered import read_morered
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.diffusion.morered import Limits, Molecule, make_sampler, relax
from prerelax.networks import build_network


@pytest.fixture(scope="module")
def golden(golden_folder: Path) -> Any:
    return np.load(golden_folder / "morered.npz")


class RecordedNoise:
    """The noise that the original drew: [n_iterations, n_atoms_total, 3]."""

    def __init__(self, noise: np.ndarray, atoms: Sequence[np.ndarray]) -> None:
        self.noise = noise
        self.atoms = atoms
        self.iteration = [0] * len(atoms)

    def positions(self, rows: Sequence[int], n_atoms: Sequence[int]) -> Tensor:
        parts = [self.noise[self.iteration[row]][self.atoms[row]] for row in rows]
        for row in rows:
            self.iteration[row] += 1
        return torch.from_numpy(np.concatenate(parts))

    def features(self, rows: Sequence[int], n_atoms: Sequence[int], width: int) -> Tensor:
        raise AssertionError("MoreRed diffuses positions alone")


def test_golden_schedule(golden: Any) -> None:
    schedule = MoreRedSchedule.polynomial(len(golden["schedule/betas"]))
    for ours, name in (
        (schedule.alpha_bar, "alphas_bar"),
        (schedule.beta, "betas"),
        (schedule.posterior_sigma, "sigmas"),
    ):
        np.testing.assert_allclose(ours.numpy(), golden[f"schedule/{name}"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_size", [128, 2, 1])
@pytest.mark.parametrize("name", ["jt", "as", "itp"])
def test_golden_sampler(name: str, batch_size: int, golden: Any, golden_folder: Path) -> None:
    elements = sorted({int(z) for z in golden["numbers"]})

    def network(kind: str) -> Any:
        config, weights = read_morered(golden_folder / f"morered_{kind}.pt", elements)
        built = build_network(config)
        built.load_state_dict(weights)
        return built.eval()

    schedule = MoreRedSchedule.polynomial(len(golden["schedule/betas"]))
    denoiser, time = (network("jt"), None) if name == "jt" else (network("ddpm"), network("time"))
    atoms = np.split(np.arange(len(golden["numbers"])), np.cumsum(golden["n_atoms"])[:-1])
    relaxed = relax(
        [Molecule(golden["numbers"][a], golden["positions"][a]) for a in atoms],
        make_sampler(name, denoiser, schedule, time),
        RecordedNoise(golden[f"{name}/noise"], atoms),
        Limits(max_iterations=len(golden[f"{name}/noise"]), batch_size=batch_size),
        keep_trajectory=True,
    )
    for i, (result, a) in enumerate(zip(relaxed, atoms, strict=True)):
        n_steps = int(golden[f"{name}/n_steps"][i])
        assert result.status == ("not_converged" if n_steps < 0 else "ok")
        assert n_steps < 0 or len(result.steps) == n_steps
        n = len(result.steps)
        assert result.steps == golden[f"{name}/traj_t"][:n, i].tolist()
        np.testing.assert_allclose(
            np.array(result.trajectory), golden[f"{name}/traj_positions"][:n, a], rtol=0, atol=1e-4
        )
        np.testing.assert_allclose(result.positions, golden[f"{name}/final"][a], rtol=0, atol=1e-4)
