"""The SO(3) trunk obeys what PaiNN obeys. Needs the extra `so3` (e3nn)."""

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("e3nn", reason="the SO(3) trunk needs the extra so3")

from prerelax.networks import build_network
from prerelax.networks.batch import Batch, make_batch
from prerelax.networks.energy import EnergyNetwork, EnergyNetworkOptions
from prerelax.networks.morered import JointNetwork, MoreRedOptions
from prerelax.networks.so3 import SO3Net, coupling


def network(bond_graph: bool = False) -> JointNetwork:
    torch.manual_seed(0)
    return JointNetwork(MoreRedOptions(n_features=8, bond_graph=bond_graph, backbone="so3")).double()


def batch(*sizes: int) -> Batch:
    rng = np.random.default_rng(0)
    return make_batch(
        [rng.choice([1, 6, 7, 8], n) for n in sizes],
        [rng.normal(size=(n, 3)) * 1.5 for n in sizes],
        dtype=torch.float64,
    )


def predict(built: JointNetwork, inputs: Batch) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return built.noise_and_atom_times(inputs)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_noise_turns_and_is_reflected_with_the_molecule(sign: float) -> None:
    built, inputs = network(), batch(9, 1, 12)
    q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    turn = torch.from_numpy(q * np.linalg.det(q) * sign)
    noise, times = predict(built, inputs)
    turned_noise, turned_times = predict(built, inputs.with_positions(inputs.positions @ turn.T + 3.0))
    assert noise.abs().max() > 1e-4
    torch.testing.assert_close(turned_noise, noise @ turn.T, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(turned_times, times, rtol=1e-6, atol=1e-8)


def test_molecules_of_a_batch_do_not_see_each_other() -> None:
    built, inputs = network(), batch(9, 1, 12)
    noise, times = predict(built, inputs)
    ends = np.cumsum([9, 1, 12])
    for start, end in zip(ends - [9, 1, 12], ends, strict=True):
        alone = make_batch(
            [inputs.numbers[start:end].numpy()], [inputs.positions[start:end].numpy()], dtype=torch.float64
        )
        alone_noise, alone_times = predict(built, alone)
        torch.testing.assert_close(alone_noise, noise[start:end], rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(alone_times, times[start:end], rtol=1e-9, atol=1e-11)


def test_coupling_has_its_textbook_values() -> None:
    table = coupling(1)
    torch.testing.assert_close(table[0, :, :], torch.eye(4), rtol=0, atol=1e-6)  # times a scalar
    scalar_product = table[1:, 1:, 0]
    torch.testing.assert_close(scalar_product.abs(), torch.eye(3) / 3**0.5, rtol=0, atol=1e-6)
    assert table[1:, 1:, 1:].abs().max() == 0  # the cross product is a pseudovector


def test_forces_are_the_derivative_of_the_energy() -> None:
    torch.manual_seed(0)
    built = EnergyNetwork(EnergyNetworkOptions(n_features=8, backbone="so3")).double()
    inputs = batch(7)
    _, forces = built.energies_and_forces(inputs)
    shift = torch.zeros_like(inputs.positions)
    shift[2, 1] = 1e-4
    with torch.no_grad():
        up, down = (built(inputs.with_positions(inputs.positions + s * shift)) for s in (1, -1))
    assert float(forces[2, 1]) == pytest.approx(-float(up - down) / 2e-4, rel=1e-4, abs=1e-8)


def test_options() -> None:
    built = build_network({"name": "morered-joint", "n_features": 8, "backbone": "so3", "bond_graph": True})
    assert isinstance(built.representation, SO3Net)
    with pytest.raises(ValueError, match="bond graph"):
        built(batch(5))
    with pytest.raises(ValueError, match="at least 1"):
        SO3Net(max_degree=0)
