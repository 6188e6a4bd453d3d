"""Parts of drug-like molecules around their BRICS bonds."""

from pathlib import Path

import pytest
from rdkit import Chem
from typer.testing import CliRunner

from prerelax.cli import app
from prerelax.errors import UserError
from prerelax.molecules.molecule import read_molecules
from prerelax.set_making.fragments import parts_around_bonds, write_parts
from prerelax.starts.embed import embed_shard

SILDENAFIL = "CCCc1nn(C)c2c1nc([nH]c2=O)-c1cc(ccc1OCC)S(=O)(=O)N1CCN(C)CC1"
AMIDE = Chem.MolFromSmarts("C(=O)N")


def test_every_bond_of_a_molecule_is_whole_in_one_part() -> None:
    """An amide and a sulfonamide are in the molecule, and still in its parts."""
    parts = [Chem.MolFromSmiles(s) for s in parts_around_bonds(Chem.MolFromSmiles(SILDENAFIL))]
    assert len(parts) >= 3
    assert any(p.HasSubstructMatch(Chem.MolFromSmarts("cS(=O)(=O)N(C)C")) for p in parts)
    assert any(p.HasSubstructMatch(Chem.MolFromSmarts("cOCC")) for p in parts)
    anilide = Chem.MolFromSmiles("CC(C)Cc1ccc(cc1)C(C)C(=O)Nc1ccc(cc1)N1CCOCC1")
    assert any(
        Chem.MolFromSmiles(s).HasSubstructMatch(AMIDE) for s in parts_around_bonds(anilide, grown_to=8)
    )


def test_parts_are_smaller_than_the_molecule_and_whole_molecules() -> None:
    for part in parts_around_bonds(Chem.MolFromSmiles(SILDENAFIL), grown_to=12, largest=20):
        molecule = Chem.MolFromSmiles(part)
        assert molecule is not None and molecule.GetNumHeavyAtoms() <= 20
        assert "*" not in part and "." not in part
        assert not any(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())


def test_shards_and_tables_are_no_list_of_smiles(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(f"id,smiles\na,{SILDENAFIL}\n")
    call = ["data", "fragments", str(tmp_path / "m.csv"), str(tmp_path / "parts.smi")]
    refused = CliRunner().invoke(app, call).exception
    assert isinstance(refused, UserError) and "m.csv: without a count fragments are cut of a .smi" in str(
        refused
    )


def test_what_cannot_be_cut_has_no_parts() -> None:
    assert parts_around_bonds(Chem.MolFromSmiles("c1ccccc1")) == []
    assert parts_around_bonds(Chem.MolFromSmiles("CC(=O)NC")) == [], "the part is the molecule"


def test_parts_of_a_file_leave_ions_salts_and_test_molecules_alone(tmp_path: Path) -> None:
    lines = ["[Na+].CC(=O)[O-]", "C[N+](C)(C)CCOC(=O)c1ccccc1", "not a SMILES", "c1ccccc1", SILDENAFIL, ""]
    (tmp_path / "molecules.smi").write_text("\n".join(lines))
    n_parts, n_molecules = write_parts(tmp_path / "molecules.smi", tmp_path / "parts.smi")
    assert n_molecules == 1
    parts = (tmp_path / "parts.smi").read_text().split()
    assert len(parts) == n_parts == len(set(parts))
    assert all(m.status == "ok" for m in read_molecules(tmp_path / "parts.smi", None))

    (tmp_path / "test.smi").write_text(SILDENAFIL + "\n")
    embed_shard(tmp_path / "test.smi", tmp_path / "test.extxyz", None, 1, 42)
    with pytest.raises(UserError, match="no molecule with a bond"):
        write_parts(tmp_path / "molecules.smi", tmp_path / "none.smi", unlike=[tmp_path / "test.extxyz"])
    with pytest.raises(UserError, match="cannot be read"):
        write_parts(tmp_path / "absent.smi", tmp_path / "none.smi")
