"""Diffusion against Metropolis on distributions that are known: harmonic molecules at T = factor × n²."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator

from prerelax.comparison.pairs import KCAL_MOL
from prerelax.errors import UserError
from prerelax.records.record import Record
from prerelax.records.shard import ShardError, write_frames, write_shard
from prerelax.studies.boltzmann.analysis import (
    ENOUGH_OVERLAP,
    Comparison,
    compare,
    heat_capacity,
    overlap,
    paper_factors_k,
    spread,
    summarise,
)
from prerelax.studies.boltzmann.energies import (
    DIFFUSION,
    METROPOLIS,
    Chains,
    Energies,
    Sample,
    read_energies,
)
from prerelax.studies.boltzmann.figures import boltzmann_figures
from prerelax.studies.boltzmann.laws import slopes
from prerelax.studies.boltzmann.metropolis_chains import ChainRow, write_chain_rows
from prerelax.studies.boltzmann.rising import Rising

FACTOR_K = 0.3
N_MODES = 24
OFFSETS_EV = {"a": 0.05, "b": -0.02}
MINIMUM_EV = -500.0
rng = np.random.default_rng(0)


def harmonic(temperature_k: float, n: int = 4000) -> np.ndarray:
    """Energies of N_MODES oscillators, kT × Gamma(N_MODES / 2)."""
    return MINIMUM_EV + rng.gamma(N_MODES / 2, units.kB * temperature_k, n)


def sample(name: str, kind: str, label: float) -> Sample:
    temperature_k = label if kind == METROPOLIS else FACTOR_K * label**2
    shift = 0.0 if kind == METROPOLIS else OFFSETS_EV[name]
    return Sample(name, kind, label, (harmonic(temperature_k) + shift,), N_MODES, 0.25, 0.01)


@pytest.fixture(scope="module")
def compared() -> Comparison:
    samples = [
        sample(name, kind, label)
        for name in OFFSETS_EV
        for kind, labels in ((DIFFUSION, (10, 20, 30)), (METROPOLIS, (30.0, 120.0, 270.0)))
        for label in labels
    ]
    samples.append(sample("a", METROPOLIS, 60.0))
    samples.sort(key=lambda s: (s.id, s.kind, s.label))
    lonely = replace(samples[0], id="lonely")
    return compare(Energies([*samples, lonely], {"20 K: scf_failed": 1}, {METROPOLIS: 5.0}))


def test_one_factor_for_all_molecules(compared: Comparison) -> None:
    assert compared.factor_k == pytest.approx(FACTOR_K, rel=0.03)
    assert compared.factors_k == pytest.approx([FACTOR_K] * 2, rel=0.05)
    pairs = compared.pairs.set_index(["id", "n"])
    assert pairs["temperature_k"]["a"][20] == pytest.approx(120, rel=0.05)
    assert pairs["paired_temperature_k"]["b"].tolist() == [30.0, 120.0, 270.0]
    assert pairs["offset_kcal_mol"]["b"][30] == pytest.approx(OFFSETS_EV["b"] / KCAL_MOL, abs=0.05)
    assert pairs["paper_temperature_k"]["a"].tolist()[1:] == [120.0, 300.0]
    assert compared.left_out == {"20 K: scf_failed": 1, "molecules without a step and two temperatures": 1}


def test_equal_distributions_overlap_and_have_the_harmonic_heat_capacity(compared: Comparison) -> None:
    pairs, found = compared.pairs, compared.distributions
    assert (pairs["overlap"] > 0.9).all()
    beyond = pairs[pairs["n"] > 10]
    assert beyond["std_ratio"].to_numpy() == pytest.approx(1, abs=0.06)
    assert pairs.loc[pairs["n"] == 10, "std_ratio"].isna().all()  # its temperature is none that was found
    assert (abs(found["heat_capacity"] - 1) < 4 * found["heat_capacity_error"] + 0.06).all()
    above = found["mean_kcal_mol"] - found["harmonic_mean_kcal_mol"]
    assert (abs(above[found["kind"] == METROPOLIS]) < 0.2).all()


def test_widths_are_compared_where_the_smallest_step_is_colder_than_metropolis_is() -> None:
    """0.3 n² for n = 6 is 11 K; the lowest temperature is 40 K, as which the step is taken."""
    samples = [sample("a", DIFFUSION, n) for n in (6, 20, 30)]
    samples += [sample("a", METROPOLIS, t) for t in (40.0, 80.0, 120.0, 200.0, 270.0)]
    pairs = compare(Energies(samples, {}, {})).pairs.set_index("n")
    assert pairs["temperature_k"][20] == pytest.approx(120 + 29, rel=0.05)
    assert pairs["std_ratio"][[20, 30]].to_numpy() == pytest.approx(1, abs=0.06)


def test_powers_of_the_laws_are_those_of_the_energies() -> None:
    samples = [sample("a", DIFFUSION, n) for n in (10, 20, 30, 40)]
    samples += [sample("a", METROPOLIS, t) for t in (30.0, 120.0, 270.0)]
    found = slopes(compare(Energies(samples, {}, {}))).iloc[0]
    assert found["power_of_n"] == pytest.approx(2, abs=0.15)
    assert np.isnan(found["power_of_t"])  # of three points


def test_the_spread_of_two_kinds_of_molecules_is_no_one_factor() -> None:
    value, low, high = spread([0.1, 0.76] * 10)
    assert low > 0.25 and low < value < high
    assert np.isnan(spread([0.3, 0.31])[1])
    assert paper_factors_k() == pytest.approx((0.275, 0.324), abs=1e-3)


def test_overlap() -> None:
    a, b = rng.normal(size=20_000), rng.normal(2.0, size=20_000)
    assert overlap(a, b) == pytest.approx(0.3173, abs=0.02)  # 2 Φ(-1)
    assert overlap(a, a + 50) == 0.0
    assert overlap(a, a) == 1.0
    assert overlap(np.ones(10), np.ones(10)) == 1.0


def test_a_wider_distribution_has_a_larger_heat_capacity() -> None:
    energies = harmonic(100.0)
    wide = Sample("a", METROPOLIS, 100.0, (energies.mean() + 2 * (energies - energies.mean()),), N_MODES)
    assert heat_capacity(wide, 100.0)[0] == pytest.approx(4, rel=0.1)


def test_figures_and_numbers(compared: Comparison, tmp_path: Path) -> None:
    words = boltzmann_figures(compared, tmp_path)
    names = ("boltzmann_violins", "boltzmann_laws", "boltzmann_temperature", "boltzmann_heat_capacity")
    for name in names:
        assert all((tmp_path / f"{name}.{suffix}").stat().st_size for suffix in ("pdf", "png", "csv"))
    assert (tmp_path / "boltzmann_temperature_numbers.csv").is_file()
    assert "hours of one worker" in words
    numbers = summarise(compared).set_index("quantity")
    assert numbers["paper"]["n = 20: temperature of the same mean energy / K"] == "120"
    assert numbers["ours"]["hours of one worker for 24 000 × 18 × 10 energies"] == pytest.approx(6.0)


def chain_row(temperature_k: float, status: str = "ok") -> ChainRow:
    energies = harmonic(temperature_k, 50)
    settings = '{"steps": 100}'
    return ChainRow(
        id="a",
        conformer=0,
        temperature_k=temperature_k,
        status=status,
        message="",
        n_modes=N_MODES,
        energies_ev=energies,
        acceptance=0.25,
        step_ang=0.01,
        wall_s=0.5,
        settings=settings,
    )


def frames_file(path: Path, start: str) -> Path:
    atoms = []
    geometry = rng.normal(size=(10, 3))
    for call, energy in enumerate(harmonic(30.0, 20)):
        record = Record("a", np.full(10, 6), geometry, start=start, wall_s=0.01, conformer=call // 10)
        atoms.append(record.as_atoms())
        atoms[-1].info["call"] = call % 10
        if call != 3:
            atoms[-1].calc = SinglePointCalculator(atoms[-1], energy=energy, forces=np.zeros((10, 3)))
    write_frames(path, atoms)
    return path


def test_energies_from_files(tmp_path: Path) -> None:
    chains = tmp_path / "chains.parquet"
    write_chain_rows(chains, [chain_row(30.0), chain_row(60.0), chain_row(90.0, "scf_failed")])
    frames = frames_file(tmp_path / "energies.extxyz", "step-n10")
    rows = tmp_path / "rows.extxyz"
    broken = Record("b", np.full(2, 6), np.eye(2, 3), start="step-n10", status="connectivity_changed")
    ended = replace(broken, id="c", status="ok")
    write_shard(rows, [replace(row, settings='{"repeats": 400}') for row in (broken, ended)])
    read = read_energies([chains], [frames], [rows], [rows])
    assert read.network == read.control == {10.0: Chains(broken=1, n=2, repeats=400)}
    assert [(s.kind, s.label) for s in read.samples] == [
        (METROPOLIS, 30.0),
        (METROPOLIS, 60.0),
        (DIFFUSION, 10.0),
    ]
    assert read.samples[2].n_modes == N_MODES
    assert read.left_out == {
        "90 K: scf_failed": 1,
        "step-n10: geometries ok": 1,
        "step-n10: too short": 1,
        "step-n10: connectivity_changed": 1,
    }
    assert read.seconds_per_thousand[METROPOLIS] == pytest.approx(5.0)
    assert read.seconds_per_thousand[DIFFUSION] == pytest.approx(10.0)
    with pytest.raises(ShardError, match="none of a repeated step"):
        read_energies([], [frames_file(tmp_path / "other.extxyz", "edm-n20")])
    with pytest.raises(UserError, match="no molecule"):
        compare(read_energies([chains], []))


def test_a_curve_through_means_that_fall_rises() -> None:
    """Means of short chains: the colder of two may be the higher one."""
    curve = Rising.fit([10.0, 20.0, 30.0, 40.0], [1.0, 3.0, 2.0, 4.0], [0.1, 0.1, 0.1, 0.1])
    assert curve.x == pytest.approx([10, 25, 40]) and curve.y == pytest.approx([1, 2.5, 4])
    assert curve.inverse(2.5) == (pytest.approx(25), False)
    assert curve.inverse(4.5) == (pytest.approx(45), True) and curve.inverse(0.5)[1]
    assert curve.at(17.5) == pytest.approx(1.75)
    # A mean that is known badly gives way to one that is known well.
    weighed = Rising.fit([10.0, 20.0, 30.0], [1.0, 3.0, 2.0], [0.1, 10.0, 0.1])
    assert weighed.y[-1] == pytest.approx(2.0, abs=0.01) and weighed.x[-1] == pytest.approx(30, abs=0.1)
    flat = Rising.fit([10.0, 20.0], [2.0, 1.0], [0.0, 0.0])
    assert np.isnan(flat.inverse(1.5)[0]) and np.isnan(flat.at(15.0))


def test_widths_are_compared_at_equal_means(compared: Comparison) -> None:
    """n = 25, T = 187 K, lies between temperatures that were run: 120 K, the nearest, is no measure."""
    samples = [
        sample("a", kind, label)
        for kind, labels in ((DIFFUSION, (10, 25)), (METROPOLIS, (30.0, 120.0, 270.0)))
        for label in labels
    ]
    found = compare(Energies(samples, {}, {})).pairs.set_index("n")
    assert found["std_ratio"][25] == pytest.approx(1, abs=0.06)


def test_short_chains_are_said_to_be_short(compared: Comparison) -> None:
    words = f"chains of Metropolis whose halves overlap below {ENOUGH_OVERLAP:g}"
    assert summarise(compared).set_index("quantity")["ours"][words] == 0
    short = [
        replace(s, chains_ev=(s.chains_ev[0][:30],))
        for s in (sample("a", METROPOLIS, t) for t in (30.0, 90.0))
    ]
    made = compare(Energies([*short, sample("a", DIFFUSION, 10)], {}, {}))
    assert summarise(made).set_index("quantity")["ours"][words] == 2


def test_slopes_give_the_factor_of_each_molecule(compared: Comparison) -> None:
    found = slopes(compared).set_index("id")
    assert found["factor_k"].to_numpy() == pytest.approx(FACTOR_K, rel=0.05)
    per_kelvin = N_MODES / 2 * units.kB / KCAL_MOL
    assert found["slope_t"].to_numpy() == pytest.approx(per_kelvin, rel=0.05)
