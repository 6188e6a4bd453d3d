"""Which conformers go on: hand-made ones, and butane's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prerelax.molecules.molecule import read_molecules
from prerelax.records.record import Record
from prerelax.records.shard import write_shard
from prerelax.starts.conformers.keeping import ABOVE, KCAL_MOL, SAME, keep_shard, kept
from prerelax.starts.embed import embedded
from prerelax.starts.forcefield import minimised


@pytest.fixture(scope="module")
def butane(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Ten MMFF94 minima with made-up energies: 0 for anti, 0.8 kcal/mol for both gauche ones."""
    table = tmp_path_factory.mktemp("butane") / "m.csv"
    table.write_text("id,smiles\nbutane,CCCC\n")
    rows = [minimised(row, "mmff94", None, "mmff94") for row in embedded(read_molecules(table)[0], 10)]

    def energy(row: Record) -> float:
        is_anti = np.linalg.norm(row.positions[0] - row.positions[3]) > 3.5
        return 0.0 if is_anti else 0.8 * KCAL_MOL

    return [replace(row, cheap_energy_ev=energy(row)) for row in rows]


def test_one_of_each_conformer_goes_on_mirror_images_alike(butane: list[Record]) -> None:
    rows = kept(butane, "gfn2", 3.0, 0.3)
    assert sorted(row.cheap_energy_ev for row in rows if row.proceeds) == [0.0, 0.8 * KCAL_MOL]
    left = [row for row in rows if not row.proceeds]
    assert len(left) == 8
    for row in left:
        assert row.status == "skipped" and row.message.startswith(SAME)
        other = rows[int(row.message.removeprefix(SAME).split()[0])]
        assert other.proceeds and other.cheap_energy_ev == row.cheap_energy_ev


def test_the_window_is_above_the_lowest(butane: list[Record]) -> None:
    rows = kept(butane, "gfn2", 0.5, 0.3)
    assert len([row for row in rows if row.proceeds]) == 1
    above = [row for row in rows if row.message.startswith(ABOVE)]
    assert above and "0.8 kcal/mol above the lowest at gfn2, 0.5 are kept" in above[0].message


def test_alike_geometries_of_other_energies_both_go_on(butane: list[Record]) -> None:
    first = butane[0]
    rows = [first, replace(first, conformer=1, cheap_energy_ev=first.cheap_energy_ev + 0.4 * KCAL_MOL)]
    assert all(row.proceeds for row in kept(rows, "gfn2", 3.0, 0.3))


def test_rows_without_an_energy_are_left_as_they_are(butane: list[Record]) -> None:
    failed = [replace(row, status="scf_failed", cheap_energy_ev=None, message="no") for row in butane]
    assert kept(failed, "gfn2", 3.0, 0.3) == failed
    assert [row.status for row in kept([*failed[:1], *butane[1:]], "gfn2", 3.0, 0.3)].count("ok") == 2


def test_rows_of_another_start_follow_what_was_decided(butane: list[Record], tmp_path: Path) -> None:
    at, other, out = (tmp_path / f"{name}.extxyz" for name in ("at", "other", "out"))
    judged = [replace(butane[0], status="scf_failed", message="no SCF"), *butane[1:]]
    write_shard(at, judged)
    write_shard(other, [replace(row, start="mmff94", cheap_energy_ev=None) for row in butane])
    decided = keep_shard(at, None, tmp_path / "kept.extxyz", at="gfn2", window_kcal_mol=3.0, rmsd_ang=0.3)
    options = {"at": "gfn2", "window_kcal_mol": 3.0, "rmsd_ang": 0.3}
    rows = keep_shard(other, tmp_path / "kept.extxyz", out, **options)
    assert [row.proceeds for row in rows] == [row.proceeds for row in decided]
    assert {row.start for row in rows} == {"mmff94"}
    assert rows[0].status == "skipped" and rows[0].message == "no minimum at gfn2: no SCF"
