"""The start `rdkit`: deterministic, in order, one row per conformer."""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from rdkit import Chem

from prerelax.errors import UserError
from prerelax.molecules.graph import connectivity_unchanged, mol_from_mapped_smiles
from prerelax.molecules.molecule import read_molecules
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_frames
from prerelax.starts import embed
from prerelax.starts.embed import embed_again, embed_shard, embedded_positions

TABLE = "id,smiles\na,CCO\nb,C[C@H](N)C(=O)O\nc,CC(\nd,C/C=C\\C\ne,[NH3+]CC\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "molecules.csv"
    path.write_text(TABLE)
    return path


def embedded_rows(path: Path, rows: slice | None = None, conformers: int = 1, seed: int = 42) -> list[Record]:
    out = path.parent / "out.extxyz"
    embed_shard(path, out, rows, conformers, seed)
    return read_shard(out)


def test_a_large_molecule_that_takes_too_long_is_embed_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "LIMIT_S", 3.0)
    (tmp_path / "m.csv").write_text(f"id,smiles\nlong,{'C' * 900}\nshort,CO\n")
    began = time.monotonic()
    embed.embed_shard(tmp_path / "m.csv", tmp_path / "0.extxyz", None, 1, 42)
    assert time.monotonic() - began < 120
    rows = read_shard(tmp_path / "0.extxyz")
    assert [row.status for row in rows] == ["embed_failed", "ok"]
    assert (
        "stopped at the limit of 3 s for 2702 atoms; give the molecule with its coordinates"
        in rows[0].message
    )


def test_a_large_molecule_comes_out_of_its_process_as_without_one(tmp_path, monkeypatch):
    (tmp_path / "m.csv").write_text(f"id,smiles\nm,{'CC(=O)N' * 3}[C@@H](C)O\n")
    embed.embed_shard(tmp_path / "m.csv", tmp_path / "0.extxyz", None, 1, 42)
    monkeypatch.setattr(embed, "LARGE", 5)
    embed.embed_shard(tmp_path / "m.csv", tmp_path / "1.extxyz", None, 1, 42)
    here, there = (read_shard(tmp_path / f"{n}.extxyz")[0] for n in (0, 1))
    assert here.status == there.status == "ok"
    assert np.array_equal(here.positions, there.positions)


def test_rows_out_are_rows_times_conformers_in_order(table: Path) -> None:
    records = embedded_rows(table, conformers=3)
    assert [(r.id, r.conformer) for r in records] == [(name, k) for name in "abcde" for k in range(3)]
    assert [r.status for r in records] == ["ok"] * 6 + ["input_error"] * 3 + ["ok"] * 6
    assert {r.start for r in records} == {"rdkit"}
    assert all(r.stages_s.keys() == {"rdkit"} and r.wall_s == r.stages_s["rdkit"] for r in records)
    assert [(r.charge, r.multiplicity) for r in records[-1:]] == [(1, 1)]


def test_a_molecule_does_not_depend_on_its_shard(table: Path) -> None:
    whole = embedded_rows(table, conformers=2)
    parts = [embedded_rows(table, rows=slice(k, k + 1), conformers=2) for k in range(5)]
    for one, other in zip(whole, [record for part in parts for record in part], strict=True):
        assert (one.id, one.conformer, one.smiles, one.message) == (
            other.id,
            other.conformer,
            other.smiles,
            other.message,
        )
        np.testing.assert_array_equal(one.positions, other.positions)


def test_conformers_and_seeds_differ(table: Path) -> None:
    first, second = embedded_rows(table, slice(0, 1), conformers=2)
    (other_seed,) = embedded_rows(table, slice(0, 1), seed=43)
    assert np.abs(first.positions - second.positions).max() > 0.1
    np.testing.assert_array_equal(second.positions, other_seed.positions)


def test_geometries_have_the_bonds_and_the_stereochemistry_asked_for(table: Path) -> None:
    for record in embedded_rows(table):
        if record.status != "ok":
            continue
        assert connectivity_unchanged(record.smiles, record.numbers, record.positions)
        asked = mol_from_mapped_smiles(record.smiles, record.positions)
        found = Chem.Mol(asked)
        Chem.AssignStereochemistryFrom3D(found)
        assert Chem.MolToSmiles(found) == Chem.MolToSmiles(asked)


def test_the_papers_start_is_rdkits_default_with_seed_42(table: Path) -> None:
    from rdkit.Chem import AllChem

    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMolecule(mol, randomSeed=42)
    (record,) = embedded_rows(table, slice(0, 1))
    np.testing.assert_allclose(record.positions, mol.GetConformer().GetPositions(), atol=1e-6)


def test_given_coordinates_stay_and_further_conformers_are_embedded(tmp_path: Path) -> None:
    path = tmp_path / "water.xyz"
    path.write_text("3\nwater\nO 5 0 0.117\nH 5 0.757 -0.469\nH 5 -0.757 -0.469\n")
    given, other = embedded_rows(path, conformers=2)
    assert given.positions.tolist() == [[5, 0, 0.117], [5, 0.757, -0.469], [5, -0.757, -0.469]]
    assert "given" in given.message
    assert other.status == "ok"
    assert abs(other.positions.mean()) < 0.1
    assert given.smiles == other.smiles == "[O:1]([H:2])[H:3]"


def test_missing_conformers_are_rows_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,smiles\ncyclopropyne,C1#CC1\n")
    records = embedded_rows(path, conformers=2)
    assert [(r.status, r.conformer, len(r.numbers)) for r in records] == [
        ("embed_failed", 0, 0),
        ("embed_failed", 1, 0),
    ]


def test_random_coordinates_are_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a single trial ETKDG fails on this drug, and from random coordinates it does not."""
    from rdkit.Chem import rdDistGeom

    mol = Chem.AddHs(Chem.MolFromSmiles("O=C(/C=C/c1ccccc1)C1=C(O)C(=O)N(CCO)C1c1ccccc1[N+](=O)[O-]"))
    monkeypatch.setattr(embed, "MAX_TRIALS", 1)
    assert rdDistGeom.EmbedMolecule(Chem.Mol(mol), maxAttempts=1, randomSeed=42) == -1
    positions = embedded_positions(mol, 42)
    assert positions is not None
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    assert connectivity_unchanged(mol, numbers, positions)


def test_wrong_numbers_are_user_errors(table: Path) -> None:
    with pytest.raises(UserError, match="conformer"):
        embed_shard(table, table.parent / "o.extxyz", None, conformers=0, seed=42)
    with pytest.raises(UserError, match="seed"):
        embed_shard(table, table.parent / "o.extxyz", None, conformers=1, seed=-1)


def test_real_drugs_embed(data_folder: Path, tmp_path: Path) -> None:
    smiles = (data_folder / "smiles_geom_drugs_30k.smi").read_text().split()[::3000]
    path = tmp_path / "drugs.smi"
    path.write_text("\n".join(smiles))
    records = embedded_rows(path)
    assert [r.status for r in records] == ["ok"] * len(read_molecules(path))


def test_structures_with_coordinates_can_be_embedded_again(tmp_path: Path) -> None:
    water = "3\nid={name} Properties=species:S:1:pos:R:3\nO 0 0 0\nH 0 0 {oh}\nH {oh} 0 0\n"
    (tmp_path / "m.extxyz").write_text(water.format(name="w", oh=0.97) + "1\nid=x\nXx 0 0 0\n")
    embed_shard(tmp_path / "m.extxyz", tmp_path / "rdkit.extxyz", None, 1, 42)
    embed_again(tmp_path / "rdkit.extxyz", tmp_path / "again.extxyz", 42, "embedded")
    embed_again(tmp_path / "rdkit.extxyz", tmp_path / "other.extxyz", 7, "embedded")
    assert '"seed": 7' in str(read_shard(tmp_path / "other.extxyz")[0].settings)
    given_, _ = read_shard(tmp_path / "rdkit.extxyz")
    row, broken = read_shard(tmp_path / "again.extxyz")
    assert (row.start, row.status, broken.status) == ("embedded", "ok", "input_error")
    assert set(row.stages_s) == {"rdkit", "embedded"}
    expected = embedded_positions(mol_from_mapped_smiles(given_.smiles), 42)
    np.testing.assert_allclose(row.positions, expected, atol=1e-6)
    assert np.abs(row.positions - given_.positions).max() > 0.05


def test_extended_xyz_of_another_program_holds_molecules(tmp_path: Path) -> None:
    """With its table or without, a shard is embedded again; what ASE wrote keeps its coordinates."""
    ethanol = molecule("CH3CH2OH")
    write_frames(tmp_path / "molecules.extxyz", [Atoms(ethanol, info={"id": "ethanol"})])
    run = partial(subprocess.run, check=True, cwd=tmp_path, capture_output=True)
    prerelax = [sys.executable, "-m", "prerelax", "embed"]
    run([*prerelax, "molecules.extxyz", "rdkit.extxyz", "--rows", "0:1"])
    (kept,) = read_shard(tmp_path / "rdkit.extxyz")
    assert kept.id == "ethanol" and np.abs(kept.positions - ethanol.positions).max() < 1e-6
    run([*prerelax, "rdkit.extxyz", "again.extxyz"])
    (tmp_path / "rdkit.parquet").unlink()
    run([*prerelax, "rdkit.extxyz", "without-table.extxyz"])
    for name in ("again", "without-table"):
        (again,) = read_shard(tmp_path / f"{name}.extxyz")
        assert again.start == "embedded" and np.abs(again.positions - kept.positions).max() > 0.1


def test_each_so_many_th_row_and_none_like_the_test_molecules(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("id,smiles\na,CCO\nb,CC\nc,C=CO\nd,OCC\ne,CCN\nf,bad smiles\n")
    (tmp_path / "test.csv").write_text("id,smiles\nt,CCO\nu,not one\n")
    embed_shard(tmp_path / "test.csv", tmp_path / "test.extxyz", None, 1, 42)
    embed_shard(tmp_path / "all.csv", tmp_path / "out.extxyz", None, 1, 42, unlike=[tmp_path / "test.extxyz"])
    statuses = {row.id: row.status for row in read_shard(tmp_path / "out.extxyz")}
    # Graphs have all hydrogens: vinyl alcohol has fewer than ethanol.
    assert statuses == {"a": "skipped", "b": "ok", "c": "ok", "d": "skipped", "e": "ok", "f": "input_error"}
    embed_shard(tmp_path / "all.csv", tmp_path / "out.extxyz", slice(0, None, 2), 1, 42)
    assert [row.id for row in read_shard(tmp_path / "out.extxyz")] == ["a", "c", "e"]
