"""The exchange of replicas on distributions that are known."""

import math

import numpy as np
import pytest
from ase import units
from scipy import stats

from prerelax.starts.conformers.replica_exchange import (
    ReplicaExchange,
    exchange_probability,
    temperature_of_step_k,
)
from prerelax.studies.boltzmann.autocorrelation import standard_error, statistical_inefficiency

TEMPERATURES_K = [temperature_of_step_k(n) for n in (20, 35, 60, 100)]
KT_EV = units.kB * np.array(TEMPERATURES_K)


def test_temperatures_of_steps() -> None:
    found = [temperature_of_step_k(n) for n in (20, 35, 60, 100)]
    assert found == pytest.approx([136.0, 416.5, 1224.0, 3400.0])


def test_an_exchange_and_its_reverse_are_in_balance() -> None:
    rng = np.random.default_rng(1)
    for a, b in rng.uniform(-0.5, 0.5, (100, 2)):
        there = math.exp(-a / KT_EV[0] - b / KT_EV[2]) * exchange_probability(a, b, TEMPERATURES_K[0], 1224.0)
        back = math.exp(-b / KT_EV[0] - a / KT_EV[2]) * exchange_probability(b, a, TEMPERATURES_K[0], 1224.0)
        assert there == pytest.approx(back, rel=1e-9)
    assert exchange_probability(0.1, 0.0, 100.0, 300.0) == 1.0


FORCE_CONSTANTS_EV_ANG2 = np.array([5.0, 20.0, 60.0])


def oscillators(x: np.ndarray) -> float:
    return float(0.5 * FORCE_CONSTANTS_EV_ANG2 @ x.ravel() ** 2)


def run(energy, widths, start, n_cycles: int, seed: int, exchange: bool = True) -> ReplicaExchange:
    """Cycles with normal proposals of a width for each level; `history` has all levels' states."""
    rng = np.random.default_rng(seed)
    replicas = ReplicaExchange(TEMPERATURES_K, [start.copy() for _ in widths], [energy(start)] * 4, rng)
    if not exchange:
        replicas._exchange = lambda first: None  # type: ignore[method-assign]
    replicas.history = []
    for _ in range(n_cycles):
        replicas.cycle(
            lambda states: [
                s + w * rng.standard_normal(s.shape) for s, w in zip(states, widths, strict=True)
            ],
            lambda states: [energy(s) for s in states],
        )
        replicas.history.append(np.array([s.ravel() for s in replicas.states]))
    return replicas


def test_oscillators_keep_boltzmanns_distribution_at_every_level() -> None:
    widths = 1.3 * np.sqrt(KT_EV / 20.0)
    replicas = run(oscillators, widths, np.zeros((1, 3)), 20_000, seed=3)
    history = np.array(replicas.history)[500:]
    assert (replicas.exchanged > 0.1 * replicas.attempted).all()
    for level, kt_ev in enumerate(KT_EV):
        energies = 0.5 * history[:, level] ** 2 @ FORCE_CONSTANTS_EV_ANG2
        assert abs(energies.mean() - 1.5 * kt_ev) < 4 * standard_error(energies)
        for mode, constant in enumerate(FORCE_CONSTANTS_EV_ANG2):
            squares = history[:, level, mode] ** 2
            assert abs(squares.mean() - kt_ev / constant) < 4 * standard_error(squares)
        every = math.ceil(3 * statistical_inefficiency(energies))
        assert stats.kstest(energies[::every], stats.gamma(1.5, scale=kt_ev).cdf).pvalue > 1e-3


def two_wells(x: np.ndarray) -> float:
    """Minima at ±1 with a barrier of 0.4 eV, the left one 0.01 eV lower."""
    return float(0.4 * (x[0, 0] ** 2 - 1) ** 2 + 0.005 * x[0, 0])


def right_well_share(history: np.ndarray) -> np.ndarray:
    return (history[:, 0, 0] > 0).astype(float)


def test_the_coldest_replica_crosses_a_barrier_only_by_exchange() -> None:
    start, widths = np.array([[1.0, 0.0, 0.0]]), np.array([0.08, 0.15, 0.3, 0.6])

    def energy(x: np.ndarray) -> float:
        return two_wells(x) + 10 * float((x[0, 1:] ** 2).sum())

    alone = np.array(run(energy, widths, start, 4000, seed=5, exchange=False).history)
    assert right_well_share(alone).mean() == 1.0
    share = right_well_share(np.array(run(energy, widths, start, 20_000, seed=5).history)[500:])
    grid = np.linspace(-3, 3, 6001)
    weights = np.exp(-(0.4 * (grid**2 - 1) ** 2 + 0.005 * grid) / KT_EV[0])
    expected = weights[grid > 0].sum() / weights.sum()
    assert 0.2 < expected < 0.4
    assert abs(share.mean() - expected) < 4 * standard_error(share)


def test_moves_that_failed_or_have_no_energy_are_not_taken() -> None:
    start = np.zeros((1, 3))
    replicas = ReplicaExchange(TEMPERATURES_K, [start] * 4, [0.0] * 4, np.random.default_rng(0))
    seen = replicas.cycle(lambda states: [None, start + 1, start, start], lambda states: [math.inf, 0.0, 0.0])
    assert len(seen) == 2
    assert replicas.accepted.tolist() == [0, 0, 1, 1]
    assert all((state == 0).all() for state in replicas.states)
