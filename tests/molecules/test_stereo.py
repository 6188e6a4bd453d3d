"""Isomers: what a row leaves open is taken once and named, and a geometry of another isomer is noticed."""

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from prerelax.errors import UserError
from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.molecules.molecule import Molecule, read_molecules
from prerelax.molecules.stereo import axes_of, changes, enumerated, isomers_of, open_stereo, stereo_changes
from prerelax.records.record import Record
from prerelax.records.shard import read_shard
from prerelax.starts.embed import embed_shard, embedded, embedded_positions
from prerelax.starts.forcefield import forcefield_shard
from prerelax.starts.isomer_file import make_isomer_file

OPEN = {
    "two-centres": ("CC(O)C(N)c1ccccc1", "C2 S, C4 R"),
    "crotonic": ("CC=CC(=O)O", "C2=C3 E"),
    "butenedioic": ("OC(=O)C=CC(=O)O", "C4=C5 E"),
    "aldoxime": ("CC=NO", "C2=N3 E"),
    "allene": ("CC=C=CC", "C2=C3=C4 P"),
}
GIVEN = {
    "oxime": "CC(C)=NO",  # no isomers
    "trans-azo": "c1ccccc1/N=N/c2ccccc2",
    "diene": "[H]/C(F)=C([H])\\C([H])=C(/[H])Br",
    "trans-ring": "C1[C@H](C#CC#C)CC[C@H](C#CC#C)C1",
    "chloromethylcyclopentane": "C[C@H]1C[C@H](Cl)CC1",
    "pseudoasymmetric": "C[C@H](O)[C@@H](O)[C@@H](C)O",
    "sulfoxide": "C[S@](=O)CC",
    "cis-ring": "C[C@H]1CC[C@@H](C)CC1",
}


def molecule(smiles: str, tmp_path: Path) -> Molecule:
    path = tmp_path / "m.csv"
    path.write_text(f"id,smiles\nm,{smiles}\n")
    return read_molecules(path)[0]


def isomer(record: Record) -> str:
    """As RDKit alone perceives it from the geometry, axes by the sign of their torsion."""
    mol = mol_from_mapped_smiles(record.smiles, record.positions)
    Chem.AssignStereochemistryFrom3D(mol)
    handed = [axis.is_right_handed(record.positions) for axis in axes_of(mol)]
    return f"{Chem.MolToSmiles(Chem.RemoveHs(mol))} {handed}"


@pytest.mark.parametrize(("smiles", "taken"), OPEN.values(), ids=OPEN)
def test_conformers_are_one_isomer_which_the_row_names(smiles: str, taken: str, tmp_path: Path) -> None:
    rows = list(embedded(molecule(smiles, tmp_path), conformers=6))
    assert {row.status for row in rows} == {"ok"}
    assert len({isomer(row) for row in rows}) == 1
    assert {row.isomer for row in rows} == {taken}
    assert all(taken in row.message for row in rows)


@pytest.mark.parametrize("smiles", GIVEN.values(), ids=GIVEN)
def test_given_marks_are_found_again_after_the_force_field(smiles: str, tmp_path: Path) -> None:
    molecule(smiles, tmp_path)
    embed_shard(tmp_path / "m.csv", tmp_path / "0.extxyz", None, 3, 42)
    forcefield_shard(tmp_path / "0.extxyz", tmp_path / "1.extxyz", "mmff94", None, "mmff94")
    meant = Chem.MolToSmiles(Chem.MolFromSmiles(smiles))
    for row in (*read_shard(tmp_path / "0.extxyz"), *read_shard(tmp_path / "1.extxyz")):
        assert (row.status, row.isomer) == ("ok", None)
        assert Chem.CanonSmiles(isomer(row).split(" ")[0]) == meant
        assert not changes(row.smiles, row.positions)


def test_the_geometry_of_conformer_0_is_what_it_was_before_isomers_were_named(tmp_path: Path) -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("CC(O)C(N)c1ccccc1"))
    (row,) = embedded(molecule("CC(O)C(N)c1ccccc1", tmp_path))
    np.testing.assert_array_equal(row.positions, embedded_positions(mol, 42))


@pytest.mark.parametrize("smiles", ["O=C1CCC2OC12", "COC1CC2CC21"])
def test_an_isomer_that_cannot_be_is_not_taken(smiles: str, tmp_path: Path) -> None:
    """RDKit embeds these small bicycles as trans-fused, which MMFF94 inverts and GFN2-xTB breaks."""
    molecule(smiles, tmp_path)
    embed_shard(tmp_path / "m.csv", tmp_path / "0.extxyz", None, 2, 42)
    forcefield_shard(tmp_path / "0.extxyz", tmp_path / "1.extxyz", "mmff94", None, "mmff94")
    rows = read_shard(tmp_path / "1.extxyz")
    assert [row.status for row in rows] == ["ok", "ok"], rows[0].message
    assert len({isomer(row) for row in rows}) == 1
    assert len(isomers_of(molecule("O=C1CCC2OC12", tmp_path))) == 2, "only the cis-fused ones"


def test_open_rows_are_refused_if_wanted(tmp_path: Path) -> None:
    (row,) = embedded(molecule("CC=CC(=O)O", tmp_path), stereo="refuse")
    assert row.status == "input_error"
    assert "the configuration of C2=C3 is not given" in row.message
    (given,) = embedded(molecule("C/C=C/C(=O)O", tmp_path), stereo="refuse")
    assert given.status == "ok"


def test_isomers_get_an_id_each(tmp_path: Path) -> None:
    found = isomers_of(molecule("CC(O)C(N)c1ccccc1", tmp_path))
    assert [each.id for each in found] == ["m-SR1", "m-RR2", "m-SS3", "m-RS4"]
    assert len({isomer(next(embedded(each))) for each in found}) == 4
    assert [each.id for each in isomers_of(molecule("C/C=C/C", tmp_path))] == ["m"]
    tartaric = [label for label, _ in enumerated(molecule("OC(=O)C(O)C(O)C(=O)O", tmp_path).mol)]
    assert sorted(tartaric) == ["RR", "RS", "SS"] or sorted(tartaric) == ["RR", "SR", "SS"]
    camphor = isomers_of(molecule("CC1(C)C2CCC1(C)C(=O)C2", tmp_path))
    assert len(camphor) == 2, "two of the four cannot be built"


def test_of_too_many_isomers_one_is_taken(tmp_path: Path) -> None:
    (row,) = isomers_of(molecule("C" + "C(O)" * 8 + "F", tmp_path))
    assert row.id == "m" and "more than 64 isomers" in row.message


def test_a_file_of_isomers_keeps_what_the_user_wrote(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("id,smiles,batch\nacid,CC=CC(=O)O,7\nbad,C(,8\nmethane,C,9\n")
    make_isomer_file(tmp_path / "m.csv", tmp_path / "out" / "isomers.csv")
    rows = read_molecules(tmp_path / "out" / "isomers.csv")
    assert [(row.id, row.status, row.input_smiles) for row in rows] == [
        ("acid-E1", "ok", "CC=CC(=O)O"),
        ("acid-Z2", "ok", "CC=CC(=O)O"),
        ("bad", "input_error", "C("),
        ("methane", "ok", "C"),
    ]
    assert [dict(row.input_columns or {}) for row in rows] == [{"batch": n} for n in "7789"]
    assert not any(open_stereo(row.mol) for row in rows if row.mol is not None)
    before = (tmp_path / "out" / "isomers.csv").stat()
    make_isomer_file(tmp_path / "m.csv", tmp_path / "out" / "isomers.csv")
    assert (tmp_path / "out" / "isomers.csv").stat().st_ino == before.st_ino, "it is not made again"
    with pytest.raises(UserError, match="no such file"):
        make_isomer_file(tmp_path / "none.csv", tmp_path / "none" / "isomers.csv")


def test_an_inverted_centre_a_turned_double_bond_and_an_inverted_axis_are_named(tmp_path: Path) -> None:
    (alcohol,) = embedded(molecule("C[C@H](O)F", tmp_path))
    mirrored = alcohol.positions * [1, 1, -1]
    mol = mol_from_mapped_smiles(alcohol.smiles)
    assert stereo_changes(mol, alcohol.positions) == []
    assert stereo_changes(mol, mirrored) == ["the centre C2 is inverted"]
    flat = alcohol.positions.copy()
    flat[:, 2] = 0
    assert stereo_changes(mol, flat) == ["the centre C2 is flat"]

    (butene,) = embedded(molecule("F/C=C/F", tmp_path))
    (other,) = embedded(molecule("F/C=C\\F", tmp_path))
    assert str(changes(butene.smiles, other.positions)) == "the double bond C2=C3 is cis instead of trans"

    (allene,) = embedded(molecule("CC=C=CC", tmp_path))
    mol = mol_from_mapped_smiles(allene.smiles)
    assert stereo_changes(mol, -allene.positions, allene.positions) == ["the axis C2=C3=C4 is inverted"]


def test_the_mirror_image_of_a_molecule_without_handedness_is_itself(tmp_path: Path) -> None:
    for smiles in ("C[C@H](O)[C@@H](C)O", GIVEN["trans-ring"], GIVEN["pseudoasymmetric"]):
        (row,) = embedded(molecule(smiles, tmp_path))
        meant = Chem.MolToSmiles(Chem.MolFromSmiles(smiles))
        mirrored = Chem.MolToSmiles(
            Chem.MolFromSmiles(smiles.replace("@@", "$").replace("@", "@@").replace("$", "@"))
        )
        assert bool(changes(row.smiles, -row.positions)) == (meant != mirrored), smiles


def test_changed_bonds_are_named(tmp_path: Path) -> None:
    (water,) = embedded(molecule("O", tmp_path))
    torn = water.positions.copy()
    torn[1] += 5 * (torn[1] - torn[0])
    assert str(changes(water.smiles, torn)) == "O1–H2 is broken"
