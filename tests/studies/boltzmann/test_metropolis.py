"""Metropolis against a harmonic molecule whose distribution is known, and chains that are stopped."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import units
from harmonic_engine import (
    CURVATURES_EV_ANG2,
    MINIMUM,
    N_MODES,
    NUMBERS,
    amplitudes,
    energy_ev,
)

from prerelax.engines import ENGINES, Level
from prerelax.errors import UserError
from prerelax.records.record import Record
from prerelax.records.shard import ShardError, write_shard
from prerelax.studies.boltzmann.autocorrelation import standard_error
from prerelax.studies.boltzmann.config import Metropolis
from prerelax.studies.boltzmann.metropolis import (
    Chain,
    MetropolisPlan,
    acceptance_probability,
    advance,
    begin_chain,
    load_chain,
    save_chain,
)
from prerelax.studies.boltzmann.metropolis_chains import metropolis_chains, read_chain_rows

TEMPERATURES_K = (10.0, 300.0)


@pytest.fixture(scope="module")
def chains() -> dict[float, tuple[MetropolisPlan, Chain, np.ndarray]]:
    """Finished chains and the geometries that they visited after the burn-in, by temperature."""
    found = {}
    for temperature_k in TEMPERATURES_K:
        plan = MetropolisPlan(temperature_k, steps=30_000, burn_in=2000)
        chain = begin_chain(MINIMUM, energy_ev, plan, "water")
        advance(chain, energy_ev, plan, plan.burn_in)
        visited = []
        while chain.n_done < plan.steps:
            advance(chain, energy_ev, plan, chain.n_done + 1)
            visited.append(amplitudes(chain.positions))
        found[temperature_k] = plan, chain, np.array(visited)
    return found


@pytest.mark.parametrize("temperature_k", TEMPERATURES_K)
def test_energy_and_heat_capacity_of_a_harmonic_molecule(chains, temperature_k: float) -> None:
    plan, chain, _ = chains[temperature_k]
    energies = np.array(chain.energies_ev[plan.burn_in :]) / plan.kt_ev
    expected = N_MODES / 2
    error = standard_error(energies)
    assert error < 0.05 * expected  # the test can tell 20 K from 23 K
    assert abs(energies.mean() - expected) < 3 * error
    squares = (energies - energies.mean()) ** 2  # var(E) / (kT)² is the heat capacity in k
    assert abs(squares.mean() - expected) < 3 * standard_error(squares)
    assert 0.15 < chain.acceptance(plan) < 0.4


@pytest.mark.parametrize("temperature_k", TEMPERATURES_K)
def test_every_mode_has_its_own_variance(chains, temperature_k: float) -> None:
    plan, _, visited = chains[temperature_k]
    for amplitude, curvature in zip(visited.T, CURVATURES_EV_ANG2, strict=True):
        squares = amplitude**2 * curvature / plan.kt_ev
        assert abs(squares.mean() - 1) < 3.5 * standard_error(squares)


def flux_statistic(visited: np.ndarray, curvatures: np.ndarray) -> float:
    """χ² per pair of cells of the transitions forth against those back, cells being sectors of two modes.

    On a line of cells forth and back are equal for any chain; around a circle only in detailed balance.
    """
    first, last = visited[:, 0] * np.sqrt(curvatures[0]), visited[:, 2] * np.sqrt(curvatures[2])
    cells = np.floor((np.arctan2(last, first) / (2 * np.pi) + 0.5) * 6).astype(int) % 6
    count = np.zeros((6, 6))
    np.add.at(count, (cells[:-1], cells[1:]), 1)
    forth, back = count[np.triu_indices(6, 1)], count.T[np.triu_indices(6, 1)]
    busy = forth + back > 10
    return float(((forth - back)[busy] ** 2 / (forth + back)[busy]).mean())


@pytest.mark.parametrize("temperature_k", TEMPERATURES_K)
def test_fluxes_forth_and_back_are_equal(chains, temperature_k: float) -> None:
    _, _, visited = chains[temperature_k]
    assert flux_statistic(visited, CURVATURES_EV_ANG2) < 2.5


def test_the_fluxes_tell_a_chain_without_detailed_balance() -> None:
    # The same stationary normal distribution, reached with a rotation that always goes the same way.
    generator = np.random.default_rng(0)
    angle = np.cumsum(generator.normal(0.05, 0.5, 30_000))
    radius = generator.rayleigh(size=30_000)
    turning = np.stack([radius * np.cos(angle), angle, radius * np.sin(angle)], axis=1)
    assert flux_statistic(turning, np.ones(3)) > 10


def test_the_step_is_fixed_after_the_burn_in() -> None:
    plan = MetropolisPlan(50.0, steps=600, burn_in=300)
    chain = begin_chain(MINIMUM, energy_ev, plan, "water")
    advance(chain, energy_ev, plan, 100)
    early = chain.step_ang
    advance(chain, energy_ev, plan, 300)
    fixed = chain.step_ang
    advance(chain, energy_ev, plan, 600)
    assert early != fixed == chain.step_ang
    assert chain.n_done == 600


def test_acceptance_probability() -> None:
    assert acceptance_probability(-1.0, 0.1) == 1.0
    assert acceptance_probability(0.1, 0.1) == pytest.approx(np.exp(-1))
    assert acceptance_probability(np.inf, 0.1) == 0.0


def test_a_saved_chain_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path) -> None:
    plan = MetropolisPlan(100.0, steps=500, burn_in=200, seed=3)
    whole = begin_chain(MINIMUM, energy_ev, plan, "water")
    stopped = begin_chain(MINIMUM, energy_ev, plan, "water")
    advance(whole, energy_ev, plan, 500)
    advance(stopped, energy_ev, plan, 270)
    save_chain(tmp_path / "chain.npz", stopped)
    resumed = load_chain(tmp_path / "chain.npz")
    advance(resumed, energy_ev, plan, 500)
    assert resumed.energies_ev == whole.energies_ev
    assert (resumed.positions == whole.positions).all()
    assert resumed.acceptance(plan) == whole.acceptance(plan)
    (tmp_path / "chain.npz").write_bytes((tmp_path / "chain.npz").read_bytes()[:300])
    assert load_chain(tmp_path / "chain.npz") is None


def test_chains_differ_by_name_temperature_and_seed() -> None:
    def first_move(plan: MetropolisPlan, name: str) -> float:
        return float(begin_chain(MINIMUM, energy_ev, plan, name).generator.random())

    plan = MetropolisPlan(100.0)
    others = [(plan, "ammonia"), (MetropolisPlan(101.0), "water"), (replace(plan, seed=1), "water")]
    assert first_move(plan, "water") == first_move(plan, "water")
    assert len({first_move(plan, "water"), *(first_move(*other) for other in others)}) == 4


@pytest.mark.parametrize("numbers", [(0.0, 100, 10), (-5.0, 100, 10), (np.nan, 100, 10), (10.0, 100, 100)])
def test_plans_that_make_no_chain(numbers: tuple[float, int, int]) -> None:
    with pytest.raises(UserError):
        MetropolisPlan(*numbers)


WATER = Record("water", NUMBERS, MINIMUM, start="b3lyp")


@pytest.fixture
def springs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Level]:
    monkeypatch.setitem(ENGINES, "springs", "harmonic_engine:HarmonicEngine")
    return lambda method: Level(engine="springs", method=method)


def test_chains_of_a_shard_in_worker_processes(tmp_path: Path, springs) -> None:
    shard, out = tmp_path / "in.extxyz", tmp_path / "chains.parquet"
    broken = Record("no-start", start="b3lyp", status="embed_failed", message="no geometry")
    write_shard(shard, [WATER, broken])
    chosen = Metropolis(level=springs("springs"), temperatures_k=[40.0, 10.0], proposals=500, burn_in=250)
    metropolis_chains(shard, out, chosen)
    rows = read_chain_rows(out)
    assert [(row.id, row.temperature_k, row.status) for row in rows] == [
        ("water", 10.0, "ok"),
        ("water", 40.0, "ok"),
        ("no-start", 10.0, "embed_failed"),
        ("no-start", 40.0, "embed_failed"),
    ]
    assert [len(row.energies_ev) for row in rows] == [250, 250, 0, 0]
    assert rows[0].n_modes == N_MODES
    assert rows[0].energies_ev.mean() < rows[1].energies_ev.mean()
    plan = MetropolisPlan(10.0, 500, 250)
    same = begin_chain(MINIMUM, energy_ev, plan, "water/0")
    advance(same, energy_ev, plan, 500)
    assert rows[0].energies_ev.tolist() == same.energies_ev[250:]
    # More steps: the chains that are there go on, those 500 steps among them.
    metropolis_chains(shard, out, chosen.model_copy(update={"proposals": 750}))
    longer = read_chain_rows(out)
    assert longer[0].energies_ev[:250].tolist() == rows[0].energies_ev.tolist()
    assert len(longer[0].energies_ev) == 500


def test_chains_that_fail_say_so(tmp_path: Path, springs) -> None:
    shard, out = tmp_path / "in.extxyz", tmp_path / "chains.parquet"
    write_shard(shard, [WATER, replace(WATER, id="stretched", positions=MINIMUM * 1.2)])
    chosen = Metropolis(level=springs("brittle"), temperatures_k=[300.0], proposals=500, burn_in=250)
    rows = metropolis_chains(shard, out, chosen)
    assert [row.status for row in rows] == ["scf_failed", "scf_failed"]
    assert "have no energy" in rows[0].message
    assert rows[1].message == "the springs are too long"
    assert all(len(row.energies_ev) == 0 for row in rows)
    with pytest.raises(UserError, match="no method 'rubber'"):
        metropolis_chains(shard, out, Metropolis(level=springs("rubber"), temperatures_k=[300.0]))


def test_other_files_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "chains.parquet").write_text("no parquet")
    with pytest.raises(ShardError, match="holds no chains"):
        read_chain_rows(tmp_path / "chains.parquet")


@pytest.mark.slow
def test_water_at_gfn2_is_nearly_harmonic(tmp_path: Path) -> None:
    shard, out = tmp_path / "in.extxyz", tmp_path / "chains.parquet"
    write_shard(shard, [WATER])
    gfn2 = Level(engine="tblite", method="GFN2-xTB")
    chosen = Metropolis(level=gfn2, temperatures_k=[10.0, 300.0], proposals=6000, burn_in=1000)
    rows = metropolis_chains(shard, out, chosen)
    cold, warm = (row.energies_ev for row in rows)
    difference = (warm.mean() - cold.mean()) / units.kB
    error = np.hypot(standard_error(cold), standard_error(warm)) / units.kB
    assert abs(difference - N_MODES / 2 * 290) < 3 * error + 0.03 * N_MODES / 2 * 290  # 3 %: anharmonicity
