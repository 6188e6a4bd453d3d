"""What any denoiser on PaiNN must satisfy, whatever its weights."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from prerelax.molecules.topology import bonds_from_geometry, topological_distances
from prerelax.networks.batch import Batch, make_batch
from prerelax.networks.messages import Edges
from prerelax.networks.morered import JointNetwork, MoreRedOptions, NoiseNetwork, TimeNetwork
from prerelax.networks.neighbours import neighbours_within, padded_neighbours
from prerelax.networks.painn import PaiNN


def joint_network(**options: Any) -> JointNetwork:
    torch.manual_seed(0)
    network = JointNetwork(MoreRedOptions(**{"n_features": 16, **options})).double()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):  # they start as zeros
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def molecule(n_atoms: int, seed: int = 0, spacing: float = 1.4) -> tuple[np.ndarray, np.ndarray]:
    """Atoms on a jittered lattice: as dense as a molecule, no two on one spot."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(n_atoms ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3), -1).reshape(-1, 3)[:n_atoms]
    positions = grid * spacing + rng.normal(scale=0.2, size=(n_atoms, 3))
    return rng.choice([1, 6, 7, 8], n_atoms), positions - positions.mean(0)


def batch_of(*molecules: tuple[np.ndarray, np.ndarray], bond_graph: bool = False) -> Batch:
    numbers, positions = [m[0] for m in molecules], [m[1] for m in molecules]
    graphs = [topological_distances(bonds_from_geometry(z, x)) for z, x in molecules] if bond_graph else None
    return make_batch(numbers, positions, graphs, dtype=torch.float64)


def predict(network: JointNetwork, batch: Batch) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return network.noise_and_atom_times(batch)


def rotation(seed: int, reflect: bool) -> Tensor:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return torch.from_numpy(q if (np.linalg.det(q) < 0) == reflect else -q)


@pytest.mark.parametrize("reflect", [False, True])
def test_noise_turns_with_the_molecule_and_times_stay(reflect: bool) -> None:
    network, batch = joint_network(), batch_of(molecule(9), molecule(14, seed=1))
    noise, times = predict(network, batch)
    turn = rotation(3, reflect)
    turned_noise, turned_times = predict(network, batch.with_positions(batch.positions @ turn.T))
    assert noise.abs().max() > 1e-3
    torch.testing.assert_close(turned_noise, noise @ turn.T, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(turned_times, times, rtol=1e-9, atol=1e-10)


def test_translation_changes_nothing_and_noise_has_no_mean() -> None:
    network, batch = joint_network(), batch_of(molecule(9), molecule(14, seed=1))
    noise, times = predict(network, batch)
    moved_noise, moved_times = predict(
        network, batch.with_positions(batch.positions + torch.tensor([9.0, -4, 2]))
    )
    torch.testing.assert_close(moved_noise, noise, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(moved_times, times, rtol=1e-9, atol=1e-10)
    sums = torch.stack([noise[:9].sum(0), noise[9:].sum(0)])
    torch.testing.assert_close(sums, torch.zeros(2, 3, dtype=torch.float64), rtol=0, atol=1e-9)


def test_permutation_of_atoms_permutes_the_output() -> None:
    network, (numbers, positions) = joint_network(), molecule(12)
    order = np.random.default_rng(5).permutation(12)
    noise, times = predict(network, batch_of((numbers, positions)))
    permuted_noise, permuted_times = predict(network, batch_of((numbers[order], positions[order])))
    torch.testing.assert_close(permuted_noise, noise[order], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(permuted_times, times[order], rtol=1e-9, atol=1e-10)


def test_molecules_of_a_batch_do_not_see_each_other() -> None:
    network = joint_network()
    alone = [predict(network, batch_of(molecule(n, seed=n))) for n in (7, 1, 20)]
    noise, times = predict(network, batch_of(*(molecule(n, seed=n) for n in (7, 1, 20))))
    torch.testing.assert_close(noise, torch.cat([a[0] for a in alone]), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(times, torch.cat([a[1] for a in alone]), rtol=1e-9, atol=1e-10)


def test_a_single_atom_gets_no_noise_and_finite_gradients() -> None:
    network = joint_network()
    noise, times = network.noise_and_atom_times(batch_of((np.array([6]), np.zeros((1, 3)))))
    (noise.square().sum() + times.square().sum()).backward()
    assert noise.abs().max() == 0
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in network.parameters())


def test_fragments_beyond_the_cutoff_are_independent_but_for_the_common_centre() -> None:
    network = joint_network()
    (z1, x1), (z2, x2) = molecule(8, seed=1), molecule(10, seed=2)
    far = batch_of((np.concatenate([z1, z2]), np.concatenate([x1, x2 + 40.0])))
    noise, times = predict(network, far)
    apart_noise, apart_times = predict(network, batch_of((z1, x1), (z2, x2)))
    torch.testing.assert_close(times, apart_times, rtol=1e-9, atol=1e-10)
    for atoms in (slice(0, 8), slice(8, 18)):
        relative = noise[atoms] - noise[atoms].mean(0)
        torch.testing.assert_close(relative, apart_noise[atoms], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("distance", [4.9999, 5.0, 5.0001])
def test_two_atoms_at_the_cutoff_have_a_smooth_limit(distance: float) -> None:
    network = joint_network()
    pair = (np.array([6, 8]), np.array([[0.0, 0, 0], [distance, 0, 0]]))
    apart = (np.array([6, 8]), np.array([[0.0, 0, 0], [50.0, 0, 0]]))
    torch.testing.assert_close(
        predict(network, batch_of(pair))[1], predict(network, batch_of(apart))[1], rtol=0, atol=1e-6
    )


def test_two_atoms_on_one_spot_give_numbers() -> None:
    noise, times = predict(joint_network(), batch_of((np.array([6, 1, 1]), np.zeros((3, 3)))))
    assert torch.isfinite(noise).all() and torch.isfinite(times).all()


@pytest.mark.parametrize("bond_graph", [False, True])
@pytest.mark.parametrize("sizes", [(5, 17, 9), (1, 3), (200,), (1, 1)])
def test_blocks_in_cache_give_what_plain_sums_give(
    sizes: tuple[int, ...], bond_graph: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = joint_network(bond_graph=bond_graph)
    batch = batch_of(*(molecule(n, seed=n) for n in sizes), bond_graph=bond_graph)
    weights = torch.randn(len(batch.numbers), 3, dtype=torch.float64)

    def results() -> list[Tensor]:
        network.zero_grad()
        noise, times = network.noise_and_atom_times(batch)
        ((noise * weights).sum() + times.square().sum()).backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        return [noise.detach(), times.detach(), *gradients]

    blocked = results()
    monkeypatch.setattr(
        "prerelax.networks.painn.make_edges",
        lambda neighbours, cutoff, n_features, edge_features: Edges(
            neighbours, None, edge_features(neighbours.distance, neighbours.topological_distance)
        ),
    )
    plain = results()
    assert len(blocked) == len(plain) > 20
    for a, b in zip(blocked, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


def test_gradient_of_the_positions_is_the_finite_difference() -> None:
    torch.manual_seed(1)
    trunk = PaiNN(n_features=8, n_interactions=2).double()
    batch = batch_of(molecule(6))
    weights = torch.randn(6, 3, 8, dtype=torch.float64)

    def value(positions: Tensor) -> Tensor:
        scalars, vectors = trunk(batch.with_positions(positions))
        return scalars.square().sum() + (vectors * weights).sum()

    assert torch.autograd.gradcheck(value, batch.positions.clone().requires_grad_())


def test_padded_neighbours_hold_every_pair_once() -> None:
    batch = batch_of(*(molecule(n, seed=n) for n in (4, 30, 1, 60)))
    neighbours = neighbours_within(batch, 5.0)
    padded = padded_neighbours(neighbours, 5.0, places_per_block=300)
    found = []
    for block in padded.blocks:
        n, width, _ = block.directions.shape
        real = (padded.distance[block.places] < 5.0).view(n, width)
        receivers = block.atoms[:, None].expand(n, width)[real]
        found += list(zip(receivers.tolist(), block.senders.view(n, width)[real].tolist(), strict=True))
    expected = list(zip(neighbours.receiver.tolist(), neighbours.sender.tolist(), strict=True))
    assert sorted(found) == sorted(expected)
    assert len(padded.distance) < 1.2 * len(expected)
    distances = torch.cdist(batch.positions, batch.positions)
    same = batch.molecule_index[:, None] == batch.molecule_index[None, :]
    assert len(expected) == int(((distances < 5.0) & same).sum()) - len(batch.numbers)


def test_the_bond_graph_matters_and_must_be_given() -> None:
    network = joint_network(bond_graph=True)
    bonded = batch_of(molecule(9), bond_graph=True)
    assert bonded.topological_distance is not None
    unbonded = make_batch(
        [molecule(9)[0]], [molecule(9)[1]], [np.zeros((9, 9), dtype=np.uint8)], dtype=torch.float64
    )
    assert (predict(network, bonded)[0] - predict(network, unbonded)[0]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="topological distances"):
        network.noise_and_atom_times(batch_of(molecule(9)))


@pytest.mark.parametrize("network_class", [JointNetwork, NoiseNetwork, TimeNetwork])
@pytest.mark.parametrize("elements", [(), (0, 6), (6, 100)])
def test_elements_without_an_embedding_are_refused(network_class: Any, elements: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="atomic numbers from 1 to 99"):
        network_class(MoreRedOptions(elements=elements, n_features=8))


def test_unknown_backbones_are_refused() -> None:
    with pytest.raises(ValueError, match="painn, so3"):
        JointNetwork(MoreRedOptions(n_features=8, backbone="schnet"))
