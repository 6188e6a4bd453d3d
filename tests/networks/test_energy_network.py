"""The neural force field: derivatives, sums, and what happens where there is nothing to interact with."""

import numpy as np
import pytest
import torch

from prerelax.networks.batch import Batch, make_batch
from prerelax.networks.energy import EnergyNetwork, EnergyNetworkOptions

FREE_ATOMS_EV = {1: -13.6, 6: -1030.0, 8: -2042.0}


def network() -> EnergyNetwork:
    torch.manual_seed(0)
    built = EnergyNetwork(EnergyNetworkOptions(n_features=16)).double()
    for z, energy in FREE_ATOMS_EV.items():
        built.atom_energies[z] = energy
    return built


def batch(*shifts: float, seed: int = 0) -> Batch:
    """One molecule of 9 atoms for each shift along x, all the same but for the shift."""
    rng = np.random.default_rng(seed)
    numbers, positions = rng.choice([1, 6, 8], 9), rng.normal(size=(9, 3)) * 2
    moved = [positions + np.array([shift, 0, 0]) for shift in shifts]
    return make_batch([numbers] * len(shifts), moved, dtype=torch.float64)


def test_forces_are_the_derivative_of_the_energy() -> None:
    built, one = network(), batch(0.0)
    _, forces = built.energies_and_forces(one)
    step = 1e-4
    for atom, axis in ((0, 0), (4, 1), (8, 2)):
        shift = torch.zeros_like(one.positions)
        shift[atom, axis] = step
        with torch.no_grad():
            up = built(one.with_positions(one.positions + shift))
            down = built(one.with_positions(one.positions - shift))
        assert float(forces[atom, axis]) == pytest.approx(-float(up - down) / (2 * step), rel=1e-5, abs=1e-7)
    assert float(forces.abs().max()) > 1e-3
    torch.testing.assert_close(forces.sum(0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-9)


def test_energies_add_up_over_fragments_and_atoms() -> None:
    built = network()
    one = batch(0.0)
    far = make_batch(
        [np.concatenate([one.numbers.numpy()] * 2)],
        [np.concatenate([one.positions.numpy(), one.positions.numpy() + 50.0])],
        dtype=torch.float64,
    )
    torch.testing.assert_close(built(far), 2 * built(one), rtol=1e-10, atol=1e-8)
    atoms = make_batch([np.array([6])], [np.zeros((1, 3))], dtype=torch.float64)
    energies, forces = built.energies_and_forces(atoms)
    assert abs(float(energies[0]) - FREE_ATOMS_EV[6]) < 10
    assert forces.abs().max() == 0


def test_total_energies_keep_their_small_digits_in_single_precision() -> None:
    double, single = network(), network().float()
    single.atom_energies, single.energy_scale = double.atom_energies, double.energy_scale
    two = batch(0.0, 0.0)
    shaken = two.positions.clone()
    shaken[9:] += 0.02 * torch.randn(9, 3, dtype=torch.float64)
    with torch.no_grad():
        exact = double(two.with_positions(shaken)).diff()
        ours = single(two.with_positions(shaken.float())).diff()
    # As float32, the total would be off by up to 2e-4 eV.
    assert float(double(two)[0].detach()) < -4000 and float(exact.abs()) > 1e-3
    torch.testing.assert_close(ours, exact, rtol=0, atol=2e-5)


def test_second_derivatives_reach_the_weights() -> None:
    built = network()
    _, forces = built.energies_and_forces(batch(0.0), training=True)
    forces.square().sum().backward()
    gradient = built.representation.filter_net.weight.grad
    assert gradient is not None and torch.isfinite(gradient).all() and float(gradient.abs().max()) > 0


def test_atom_energies_are_found_again() -> None:
    rng = np.random.default_rng(1)
    numbers = [torch.from_numpy(rng.choice([1, 6, 8], rng.integers(4, 20))) for _ in range(50)]
    exact = torch.tensor([sum(FREE_ATOMS_EV[int(z)] for z in n) for n in numbers], dtype=torch.float64)
    built = EnergyNetwork(EnergyNetworkOptions(n_features=8))
    built.fit_atom_energies(numbers, exact + torch.from_numpy(rng.normal(scale=0.5, size=50)))
    for z, energy in FREE_ATOMS_EV.items():
        assert float(built.atom_energies[z]) == pytest.approx(energy, abs=0.5)
    assert float(built.atom_energies[7]) == 0
    assert 0.02 < float(built.energy_scale) < 0.5
