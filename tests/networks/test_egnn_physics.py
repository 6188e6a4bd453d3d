"""What any denoiser of molecules must obey, for the published EGNN and for our own variants of it."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.networks import build_network
from prerelax.networks.batch import Batch, make_batch
from prerelax.networks.egnn import EGNN, approximate_sigma

VARIANTS: dict[str, dict[str, Any]] = {
    "published": {"types": "diffused"},
    "mean": {"types": "fixed", "aggregation": "mean", "attention": False, "tanh": False, "inv_sublayers": 2},
    "relaxer": {
        "types": "fixed",
        "bond_graph": True,
        "radial_basis": 8,
        "log_time": True,
        "motion": "denoised",
    },
    "steady": {"types": "fixed", "bond_graph": True, "motion": "none"},
}


@pytest.fixture(params=list(VARIANTS))
def network(request: pytest.FixtureRequest) -> EGNN:
    torch.manual_seed(3)
    built = build_network({"name": "egnn", "n_layers": 3, "n_features": 16, **VARIANTS[request.param]})
    assert isinstance(built, EGNN)
    for block in built.blocks:  # fresh networks hardly move atoms: make the test see something
        torch.nn.init.normal_(block.move.weight.weight, std=0.3)  # type: ignore[union-attr]
    return built.double().eval()


def _molecules(seed: int = 0) -> tuple[list[Any], list[Any], list[Any]]:
    rng = np.random.default_rng(seed)
    sizes = [2, 9, 5, 1, 14]
    numbers = [rng.choice([1, 6, 7, 8, 9], size=n) for n in sizes]
    positions = [rng.normal(scale=1.5, size=(n, 3)) for n in sizes]
    topologies = []
    for n in sizes:
        upper = np.triu(rng.integers(0, 5, size=(n, n)), 1)
        topologies.append((upper + upper.T).astype(np.uint8))
    return numbers, positions, topologies


def _batch(numbers: list[Any], positions: list[Any], topologies: list[Any], network: EGNN) -> Batch:
    batch = make_batch(numbers, positions, topologies, dtype=torch.float64)
    features = network.atom_features(batch.numbers) if network.types == "diffused" else None
    return batch.with_positions(batch.positions, features)


def _predict(network: EGNN, batch: Batch, step: float = 0.03) -> Tensor:
    with torch.no_grad():
        predicted: Tensor = network(batch, torch.full((batch.n_molecules,), step, dtype=torch.float64))
    return predicted


def _orthogonal(seed: int, determinant: float) -> Tensor:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q[:, 0] *= determinant * np.sign(np.linalg.det(q))
    return torch.from_numpy(q)


@pytest.mark.parametrize("determinant", [1.0, -1.0], ids=["rotation", "reflection"])
def test_noise_turns_with_the_molecule(network: EGNN, determinant: float) -> None:
    batch = _batch(*_molecules(), network)
    turn = _orthogonal(1, determinant)
    before, after = _predict(network, batch), _predict(network, batch.with_positions(batch.positions @ turn))
    assert before[:, :3].abs().max() > 1e-3
    torch.testing.assert_close(after[:, :3], before[:, :3] @ turn, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(after[:, 3:], before[:, 3:], atol=1e-9, rtol=1e-9)


def test_noise_does_not_depend_on_the_place_and_sums_to_zero(network: EGNN) -> None:
    batch = _batch(*_molecules(), network)
    shift = torch.randn(batch.n_molecules, 3, dtype=torch.float64)[batch.molecule_index]
    before, after = _predict(network, batch), _predict(network, batch.with_positions(batch.positions + shift))
    torch.testing.assert_close(after, before, atol=1e-9, rtol=1e-9)
    sums = torch.zeros(batch.n_molecules, 3, dtype=torch.float64).index_add_(
        0, batch.molecule_index, after[:, :3]
    )
    assert sums.abs().max() < 1e-10


def test_permuted_atoms_get_the_permuted_noise(network: EGNN) -> None:
    numbers, positions, topologies = _molecules()
    rng = np.random.default_rng(2)
    orders = [rng.permutation(len(z)) for z in numbers]
    permuted = _batch(
        [z[o] for z, o in zip(numbers, orders, strict=True)],
        [x[o] for x, o in zip(positions, orders, strict=True)],
        [t[np.ix_(o, o)] for t, o in zip(topologies, orders, strict=True)],
        network,
    )
    batch = _batch(numbers, positions, topologies, network)
    starts = (torch.cumsum(batch.n_atoms, 0) - batch.n_atoms).tolist()
    index = np.concatenate([start + order for start, order in zip(starts, orders, strict=True)])
    expected = _predict(network, batch)[torch.from_numpy(index)]
    torch.testing.assert_close(_predict(network, permuted), expected, atol=1e-9, rtol=1e-9)


def test_a_molecule_does_not_feel_its_batch_mates(network: EGNN) -> None:
    numbers, positions, topologies = _molecules()
    together = _predict(network, _batch(numbers, positions, topologies, network))
    alone = [
        _predict(network, _batch([z], [x], [t], network))
        for z, x, t in zip(numbers, positions, topologies, strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-9, rtol=1e-9)


def test_gradients_of_our_own_products_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    network = build_network({"name": "egnn", "n_layers": 2, "n_features": 4, **VARIANTS["relaxer"]}).double()
    numbers, positions, topologies = _molecules()
    batch = make_batch(numbers[:1], positions[:1], topologies[:1], dtype=torch.float64)
    time = torch.tensor([0.02], dtype=torch.float64)
    parameters = dict(network.named_parameters())
    names = [name for name in parameters if name.startswith("blocks.0")]

    def output(*values: Tensor) -> Tensor:
        changed = dict(zip(names, values, strict=True))
        result: Tensor = torch.func.functional_call(network, changed, (batch, time))
        return result

    values = tuple(parameters[name].detach().clone().requires_grad_() for name in names)
    assert torch.autograd.gradcheck(output, values, atol=1e-7, rtol=1e-5)


def test_sigma_inside_the_network_is_the_schedules() -> None:
    schedule = NoiseSchedule.polynomial(1000)
    times = torch.arange(101) / 1000
    torch.testing.assert_close(approximate_sigma(times), schedule.sigma[:101], rtol=2e-3, atol=1e-5)


def test_missing_bond_graph_or_features_are_named() -> None:
    numbers, positions, _ = _molecules()
    batch = make_batch(numbers, positions)
    time = torch.zeros(batch.n_molecules)
    with pytest.raises(ValueError, match="topological distances"):
        build_network({"name": "egnn", "n_layers": 1, "n_features": 4, **VARIANTS["steady"]})(batch, time)
    with pytest.raises(ValueError, match="noised features"):
        build_network({"name": "egnn", "n_layers": 1, "n_features": 4})(batch, time)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "egn"}, "did you mean egnn"),
        ({"name": "egnn", "n_layer": 2}, "did you mean n_layers"),
        ({"name": "egnn", "types": "free"}, "types must be one of"),
        ({"name": "egnn", "motion": "fast"}, "motion must be one of"),
        ({"name": "egnn", "aggregation": "max"}, "aggregation must be one of"),
    ],
)
def test_misspelt_networks_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network(config)
