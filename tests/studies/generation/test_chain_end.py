"""The end of generating chains, and the straight line between its ends."""

from pathlib import Path

import ase.build
import numpy as np
import pytest

from prerelax.engines import Level
from prerelax.relaxation.single_points import read_frames, single_points
from prerelax.studies.generation.chain_end import (
    CHAIN,
    LINE,
    NOT_ALLOWED,
    chain_ends,
    read_chain_energies,
    summarise_chain_ends,
    write_chain_ends,
)
from prerelax.studies.generation.chains import Chains
from prerelax.studies.generation.figures import chain_end

WATER = ase.build.molecule("H2O")


def chains_of(ends: list[tuple[list[int], np.ndarray]], n_states: int = 30, settled: int = 15) -> Chains:
    """Chains that shrink to their ends on a bent way; until state `settled` the first atom is a carbon."""
    left = np.linspace(1, 0, n_states)[:, None, None]
    bend = np.random.default_rng(0).normal(size=(3, 3)) * 0.05
    paths = [x * (1 + 0.3 * left) + np.sin(np.pi * left) * bend for _, x in ends]
    numbers = np.tile(np.concatenate([z for z, _ in ends]).astype(np.uint8), (n_states, 1))
    numbers[:settled, 0::3] = 6
    positions = np.concatenate(paths, axis=1).astype(np.float32)
    sizes = np.array([len(z) for z, _ in ends])
    return Chains(sizes, positions, numbers, np.linspace(0, 1, n_states - 1))


def molecules() -> list[tuple[list[int], np.ndarray]]:
    """Hydroxide with a hydrogen far away, a nitrogen with two hydrogens, water."""
    apart = WATER.positions.copy()
    apart[2] += 5
    return [([8, 1, 1], apart), ([7, 1, 1], WATER.positions), ([8, 1, 1], WATER.positions)]


def test_paths_begin_where_elements_are_final() -> None:
    frames = chain_ends(chains_of(molecules()), n_steps=50, n_molecules=5)
    ids = list(dict.fromkeys(frame.record.id for frame in frames))
    # In one piece, allowed valences first; what fell apart is none.
    assert ids == [f"generated-{i}/{kind}" for i in (2, 1) for kind in (CHAIN, LINE)]
    water = [frame for frame in frames if frame.record.id.startswith("generated-2")]
    assert [frame.call for frame in water] == [*range(15), *range(15)]
    chain, line = water[:15], water[15:]
    for end in (0, 14):
        np.testing.assert_allclose(chain[end].record.positions, line[end].record.positions, atol=1e-6)
    middle = (chain[0].record.positions + chain[14].record.positions) / 2
    np.testing.assert_allclose(line[7].record.positions, middle, atol=1e-6)
    assert np.abs(chain[7].record.positions - middle).max() > 0.01
    assert {frame.record.message for frame in water} == {""}
    nitrogen = frames[-1].record
    assert (nitrogen.multiplicity, nitrogen.message) == (2, NOT_ALLOWED)


def test_length_and_number_are_limited() -> None:
    frames = chain_ends(chains_of(molecules()), n_steps=8, n_molecules=1)
    assert [frame.call for frame in frames] == [*range(10), *range(10)]
    assert chain_ends(chains_of(molecules(), settled=28), 8, 5) == []


def test_energies_fall_towards_the_molecule(tmp_path: Path) -> None:
    write_chain_ends(tmp_path / "end.extxyz", chain_ends(chains_of(molecules()), 8, 2))
    assert len(read_frames(tmp_path / "end.extxyz")) == 40
    single_points(
        tmp_path / "end.extxyz", tmp_path / "energies.extxyz", Level(engine="tblite", method="GFN2-xTB")
    )
    table, left_out = read_chain_energies(tmp_path / "energies.extxyz")
    assert left_out == {}
    assert set(table["id"]) == {"generated-1", "generated-2"}
    summary = summarise_chain_ends(table).set_index("quantity")["ours"]
    assert summary["energy of the chain's first geometry / kcal/mol"] > 1  # it is stretched
    assert 0.5 < summary[f"share of steps downward in energy, {LINE}"] < 1  # beyond the level's minimum
    assert summary["share of molecules with allowed valences"] == 0.5
    assert (table.loc[table["calls_left"] == 0, "above_kcal_mol"].abs() < 1e-3).all()
    figure, _ = chain_end(table, left_out, "gfn2")
    assert "n = 2, 1 of them with allowed valences" in figure.get_suptitle()


def test_nothing_to_evaluate_is_said(tmp_path: Path) -> None:
    write_chain_ends(tmp_path / "end.extxyz", [])
    single_points(
        tmp_path / "end.extxyz", tmp_path / "energies.extxyz", Level(engine="tblite", method="GFN2-xTB")
    )
    table, left_out = read_chain_energies(tmp_path / "energies.extxyz")
    figure, _ = chain_end(table, left_out, "gfn2")
    assert "no chain ended in one piece" in figure.axes[0].texts[0].get_text()
    assert summarise_chain_ends(table).empty
    with pytest.raises(Exception, match="no such trajectory"):
        read_chain_energies(tmp_path / "missing.extxyz")
