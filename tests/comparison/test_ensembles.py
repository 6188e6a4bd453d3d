"""Boltzmann weights of conformers, and which are one minimum."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import units

from prerelax.comparison.comparison import compare, read_comparison
from prerelax.molecules.molecule import read_molecules
from prerelax.records.record import Record
from prerelax.records.shard import write_shard
from prerelax.starts.conformers.keeping import ABOVE, KCAL_MOL, SAME
from prerelax.starts.embed import embedded
from prerelax.starts.forcefield import minimised


def conformers(tmp_path: Path, smiles: str) -> list[Record]:
    """An anti and a gauche MMFF94 minimum, by the distance of atoms 1 and 4."""
    (tmp_path / "m.csv").write_text(f"id,smiles\nm,{smiles}\n")
    rows = [
        minimised(row, "mmff94", None, "mmff94")
        for row in embedded(read_molecules(tmp_path / "m.csv")[0], 12)
    ]
    apart = [np.linalg.norm(row.positions[0] - row.positions[3]) for row in rows]
    return [rows[int(np.argmax(apart))], rows[int(np.argmin(apart))]]


def relaxed(row: Record, conformer: int, energy_kcal_mol: float, **changes: object) -> Record:
    said = {
        "status": "ok",
        "converged": True,
        "target": "t",
        "start": "mmff94",
        "n_gradients": 4,
        "n_steps": 3,
    }
    said |= {"energy_left_kcal_mol": 0.01, "connectivity_unchanged": True, "stereo_unchanged": True}
    energy = energy_kcal_mol * KCAL_MOL
    said |= {"conformer": conformer, "energy_ev": energy, "start_energy_ev": energy, "message": ""}
    return replace(row, **(said | changes))


def compared(tmp_path: Path, rows: list[Record]) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    shard = tmp_path / "relaxed" / "t" / "mmff94" / "0000.extxyz"
    shard.parent.mkdir(parents=True)
    write_shard(shard, rows)
    text = compare(tmp_path / "comparison.csv", [shard], None)
    return read_comparison(tmp_path / "comparison.csv"), pd.read_csv(tmp_path / "ensembles.csv"), text


def test_butane_is_weighed_by_its_three_minima(tmp_path: Path) -> None:
    anti, gauche = conformers(tmp_path, "CCCC")
    mirrored = replace(gauche, positions=gauche.positions * [1, 1, -1])
    skipped = {"status": "skipped", "converged": None, "energy_ev": None, "n_gradients": None}
    rows = [
        relaxed(anti, 0, 0.0),
        relaxed(gauche, 1, 0.9),
        relaxed(mirrored, 2, 0.91),
        relaxed(anti, 3, 0.0, **skipped, message=f"{SAME}0"),
        relaxed(anti, 4, 0.0, **skipped, message=f"{ABOVE}5.0 kcal/mol"),
    ]
    table, found, text = compared(tmp_path, rows)
    gauche_share = 2 * np.exp(-0.9 / (units.kB * 298.15 / KCAL_MOL))
    weights = [1 / (1 + gauche_share), gauche_share / (1 + gauche_share), 0.0]
    assert table["boltzmann_weight"].tolist()[:3] == pytest.approx(weights, abs=1e-4)
    assert np.isnan(table["same_as"]).tolist() == [True, True, False, True, True]
    assert table["same_as"][2] == 1
    (row,) = found.to_dict("records")
    assert tuple(row[f"n_{n}"] for n in ("conformers", "same", "above", "relaxed", "failed")) == (
        5,
        1,
        1,
        3,
        0,
    )
    assert (row["n_minima"], row["lowest_conformer"], row["n_gradients_spared_same"]) == (2, 0, 4)
    assert "5 of 1 molecules, 3 relaxed to 2 minima\n  not kept: 1 the same as another one, 1 above" in text


def test_an_enantiomer_is_weighed_once(tmp_path: Path) -> None:
    """The mirror image of a conformer of 2-butanol is the other molecule's."""
    anti, gauche = conformers(tmp_path, "C[C@H](O)CC")
    table, _, _ = compared(tmp_path, [relaxed(anti, 0, 0.0), relaxed(gauche, 1, 0.0)])
    assert table["boltzmann_weight"].tolist() == pytest.approx([0.5, 0.5])


def test_what_is_no_minimum_has_no_weight(tmp_path: Path) -> None:
    anti, gauche = conformers(tmp_path, "CCCC")
    rows = [relaxed(anti, 0, 0.0, connectivity_unchanged=False), relaxed(gauche, 1, 0.9)]
    table, found, _ = compared(tmp_path, rows)
    assert np.isnan(table["boltzmann_weight"][0]) and table["boltzmann_weight"][1] == 1
    assert found["lowest_conformer"][0] == 1


def test_a_campaign_of_single_conformers_has_no_such_columns(tmp_path: Path) -> None:
    anti, _ = conformers(tmp_path, "CCCC")
    shard = tmp_path / "relaxed" / "t" / "mmff94" / "0000.extxyz"
    shard.parent.mkdir(parents=True)
    write_shard(shard, [relaxed(anti, 0, 0.0)])
    compare(tmp_path / "comparison.csv", [shard], None)
    assert "boltzmann_weight" not in (tmp_path / "comparison.csv").read_text()
    assert not (tmp_path / "ensembles.csv").exists()
