"""Molecules read from every kind of file: identity, order, charge and geometry kept."""

import gzip
import tempfile
from pathlib import Path

import ase.io
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem, rdDistGeom

from prerelax.molecules.graph import connectivity_unchanged, mol_from_mapped_smiles
from prerelax.molecules.input_files import count_rows
from prerelax.molecules.molecule import Molecule, read_molecules
from prerelax.molecules.row import InputFileError
from prerelax.records.shard import read_shard
from prerelax.starts.embed import embed_shard

IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1, max_size=12).filter(
    lambda text: text == text.strip() and not set(text) & set("\r\n")
)
SMILES = st.sampled_from(
    [
        "C",
        "[NH4+]",
        "C/C=C\\C",
        "N[C@@H](C)C(=O)[O-]",
        "c1ccccc1",
        "[CH3]",
        "C(Cl)(Br)I",
        "C#N",
        "[2H]O",
        "[H][H]",
    ]
)


def one(path: Path) -> Molecule:
    (molecule,) = read_molecules(path)
    return molecule


def plain(molecule: Molecule) -> str:
    return Chem.MolToSmiles(Chem.RemoveHs(molecule.mol))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(IDS, SMILES), min_size=1, max_size=4, unique_by=lambda row: row[0]))
def test_ids_and_smiles_survive_table_and_shard(rows: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "molecules.csv"
        quoted = [f'"{key.replace(chr(34), chr(34) * 2)}","{smiles}"\n' for key, smiles in rows]
        table.write_text("id,smiles\n" + "".join(quoted), encoding="utf-8")
        embed_shard(table, folder / "rdkit.extxyz", None, conformers=1, seed=42)
        records = read_shard(folder / "rdkit.extxyz")
        assert [record.id for record in records] == [key for key, _ in rows]
        for record, (_, smiles) in zip(records, rows, strict=True):
            assert record.status == "ok"
            mol = mol_from_mapped_smiles(record.smiles, record.positions)
            assert [atom.GetAtomicNum() for atom in mol.GetAtoms()] == record.numbers.tolist()
            if record.isomer is not None:
                Chem.RemoveStereochemistry(mol)
            assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles(smiles)
            assert record.charge == Chem.GetFormalCharge(mol)


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(codec="utf-8"), max_size=60), st.sampled_from([".csv", ".smi", ".sdf", ".xyz"]))
def test_nothing_in_a_file_is_an_exception_other_than_the_files_own(text: str, suffix: str) -> None:
    from prerelax.molecules.input_files import InputFileError

    beginning = {".csv": "id,smiles\n", ".smi": "", ".sdf": "t\n\n\n", ".xyz": "1\n"}[suffix]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"any{suffix}"
        path.write_text(beginning + text, encoding="utf-8")
        try:
            molecules = read_molecules(path)
        except InputFileError as error:
            assert str(path) in str(error)
        else:
            assert len(molecules) == count_rows(path)
            assert all(m.status == "ok" or m.message for m in molecules)


def test_slices_are_parts_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,smiles\na,C\nb,CC(\nc,N\na,O\n")
    whole = [(m.id, m.smiles, m.status, m.message) for m in read_molecules(path)]
    parts = [
        (m.id, m.smiles, m.status, m.message) for k in range(5) for m in read_molecules(path, slice(k, k + 1))
    ]
    assert parts == whole
    assert whole[3][0] == "a (row 4)"
    assert read_molecules(path, slice(7, 9)) == []


def test_the_users_atom_order_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.smi"
    path.write_text("[H]OC([H])=O formic\n[H:3][O:1][H:2] mapped\n[CH3:7]O partly\n")
    formic, mapped, partly = read_molecules(path)
    assert formic.numbers.tolist() == [1, 8, 6, 1, 8]
    assert mapped.numbers.tolist() == [8, 1, 1]
    assert partly.numbers.tolist() == [6, 8, 1, 1, 1, 1]
    assert ":7]" not in partly.smiles.replace("[H:7]", "")


@pytest.mark.parametrize(
    ("smiles", "charge", "multiplicity"),
    [
        ("C", 0, 1),
        ("[CH3]", 0, 2),
        ("[O][O]", 0, 3),
        ("[CH2]", 0, 3),
        ("[NH4+]", 1, 1),
        ("[O-]S(=O)(=O)[O-]", -2, 1),
        ("[N]=O", 0, 2),
        ("[Cu]", 0, 2),
        ("[N]", 0, 4),
    ],
)
def test_charge_and_multiplicity_come_from_the_smiles(
    tmp_path: Path, smiles: str, charge: int, multiplicity: int
) -> None:
    path = tmp_path / "a.smi"
    path.write_text(f"{smiles} x\n")
    assert (one(path).charge, one(path).multiplicity) == (charge, multiplicity)


def sdf_record(smiles: str, v3000: bool) -> tuple[Chem.Mol, str]:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    order = np.random.default_rng(1).permutation(mol.GetNumAtoms()).tolist()
    mol = Chem.RenumberAtoms(mol, order)
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=3) == 0
    return mol, Chem.MolToMolBlock(mol, forceV3000=v3000)


@pytest.mark.parametrize("v3000", [False, True])
@pytest.mark.parametrize("name", ["a.sdf", "a.sdf.gz", "a.mol"])
def test_sdf_keeps_order_coordinates_charge_and_stereo(tmp_path: Path, v3000: bool, name: str) -> None:
    mol, block = sdf_record("C[C@H]([NH3+])/C=C/F", v3000)
    data = (block + "$$$$\n").encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    molecule = one(tmp_path / name)
    assert (molecule.id, molecule.status, molecule.charge) == ("a-1", "ok", 1)
    assert molecule.numbers.tolist() == [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    assert molecule.positions is not None
    np.testing.assert_allclose(molecule.positions, mol.GetConformer().GetPositions(), atol=1e-4)
    assert plain(molecule) == "C[C@H]([NH3+])/C=C/F"
    assert Chem.MolToSmiles(Chem.RemoveHs(mol_from_mapped_smiles(molecule.smiles))) == plain(molecule)


def test_flat_sdf_has_no_positions_but_its_stereo(tmp_path: Path) -> None:
    from rdkit.Chem import rdDepictor

    mol = Chem.MolFromSmiles("C[C@H](N)C(=O)O")
    rdDepictor.Compute2DCoords(mol)
    (tmp_path / "a.sdf").write_text(Chem.MolToMolBlock(mol))
    molecule = one(tmp_path / "a.sdf")
    assert molecule.positions is None
    assert plain(molecule) == "C[C@H](N)C(=O)O"
    assert len(molecule.numbers) == 13


def test_hydrogens_are_added_to_a_3d_structure_without_any(tmp_path: Path) -> None:
    mol, _ = sdf_record("CCO", False)
    (tmp_path / "a.sdf").write_text(Chem.MolToMolBlock(Chem.RemoveHs(mol)))
    molecule = one(tmp_path / "a.sdf")
    assert len(molecule.numbers) == 9
    assert connectivity_unchanged(molecule.mol, molecule.numbers, molecule.positions)


def test_a_shard_can_be_read_as_molecules(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text('id,smiles\n000123,CC(=O)[O-]\n"C:\\x ""y""",C/C=C\\C\nT,[CH3]\n')
    embed_shard(table, tmp_path / "rdkit.extxyz", None, conformers=1, seed=42)
    records, molecules = read_shard(tmp_path / "rdkit.extxyz"), read_molecules(tmp_path / "rdkit.extxyz")
    for record, molecule in zip(records, molecules, strict=True):
        assert (molecule.id, molecule.smiles, molecule.charge, molecule.multiplicity, molecule.status) == (
            record.id,
            record.smiles,
            record.charge,
            record.multiplicity,
            "ok",
        )
        np.testing.assert_allclose(molecule.positions, record.positions, atol=1e-7)


@pytest.mark.parametrize(
    ("smiles", "says"),
    [
        ("[H:1][O:2][H:3]", "another order"),
        ("[O:1]([H:2])[H:4]", "number all its atoms"),
        ("[O:1]([H:2])[H:3", "not valid SMILES"),
        ("[OH:1]", "number all its atoms"),
        ("[O+:1]([H:2])[H:3]", "contradicts"),
    ],
)
def test_smiles_of_a_frame_must_be_that_of_its_atoms(tmp_path: Path, smiles: str, says: str) -> None:
    comment = f'id=w charge=0 smiles="{smiles}"'
    (tmp_path / "w.extxyz").write_text(f"3\n{comment}\nO 0 0 0.117\nH 0 0.757 -0.469\nH 0 -0.757 -0.469\n")
    molecule = one(tmp_path / "w.extxyz")
    assert molecule.status == "input_error"
    assert says in molecule.message


def test_unmapped_smiles_of_a_frame_give_way_to_its_geometry(tmp_path: Path) -> None:
    (tmp_path / "w.extxyz").write_text(
        '3\nProperties=species:S:1:forces:R:3:pos:R:3 smiles="O" pbc="F F F"\n'
        "O 9 9 9 0 0 0.117\nH 9 9 9 0 0.757 -0.469\n1 9 9 9 0 -0.757 -0.469\n"
    )
    molecule = one(tmp_path / "w.extxyz")
    assert (molecule.smiles, molecule.status) == ("[O:1]([H:2])[H:3]", "ok")
    assert molecule.positions.tolist() == [[0, 0, 0.117], [0, 0.757, -0.469], [0, -0.757, -0.469]]


BAKER = {
    "disilyl_ether": "[SiH3]O[SiH3]",
    "trisilacyclohexane_135": "C1[SiH2]C[SiH2]C[SiH2]1",
    "hydroxysulfane": "OS",
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "difuropyrazine": "c1cc2nc3occc3nc2o1",
    "allene": "C=C=C",
    "histidine": "N[C@H](Cc1cnc[nH]1)C(=O)O",
}


def test_bakers_set(data_folder: Path) -> None:
    files = sorted((data_folder / "baker30").glob("*.xyz"))
    assert len(files) == 30
    for path in files:
        molecule, atoms = one(path), ase.io.read(path)
        assert (molecule.id, molecule.status, molecule.charge, molecule.multiplicity) == (
            path.stem,
            "ok",
            0,
            1,
        )
        assert molecule.numbers.tolist() == atoms.numbers.tolist()
        np.testing.assert_allclose(molecule.positions, atoms.positions)
        assert connectivity_unchanged(molecule.smiles, molecule.numbers, molecule.positions)
        if path.stem in BAKER:
            assert plain(molecule) == BAKER[path.stem]


def test_qm9_in_its_raw_formats(data_folder: Path) -> None:
    raw = data_folder / "raw_formats"
    extended = read_molecules(raw / "qm9_100.extxyz")
    assert [m.status for m in extended] == ["ok"] * 100
    assert [plain(m) for m in extended[:4]] == ["C", "N", "O", "C#C"]
    assert extended[99].id == "qm9_100-100"
    for path in [*(raw / "qm9_plain_xyz").glob("*.xyz"), raw / "qm9_original/dsgdb9nsd_000001.xyz"]:
        molecule = one(path)
        assert (molecule.id, molecule.status) == (path.stem, "ok")


def test_gdb17_bonds_are_found_again_in_the_geometry(data_folder: Path) -> None:
    """The data set's graphs against its GFN2 minima: only zwitterions differ, whose protons moved."""
    molecules = read_molecules(data_folder / "gdb17_gfn2.sdf.gz")
    assert [m.status for m in molecules] == ["ok"] * 800
    for molecule in molecules:
        unchanged = connectivity_unchanged(molecule.mol, molecule.numbers, molecule.positions)
        assert unchanged or ("+" in molecule.smiles and "-" in molecule.smiles)


def test_druglike_records_are_read_or_explained(data_folder: Path) -> None:
    """A converter's SDF, its bond tables without charges: where that suffices, the geometry gives bonds."""
    ions, neutral = (
        read_molecules(data_folder / "druglike_b3lyp_d3bj.sdf.gz", rows)
        for rows in (slice(0, 300), slice(3800, None))
    )
    assert len(ions) == 300
    assert len(neutral) == 373
    assert all(m.status == "ok" or m.message for m in ions)
    assert np.mean([m.status == "ok" for m in neutral]) > 0.95
    assert any("perceived from its geometry" in m.message for m in neutral)


ETHANOL_IN_BOHR = """9
ethanol, by mistake in bohr
C 2.209000 -0.471600 0.000000
C 0.000000 1.043600 0.000000
O -2.258700 -0.449600 0.000000
H -3.693900 0.713600 0.000000
H 3.871900 0.780300 0.000000
H 2.270200 -1.688100 1.678800
H 2.270200 -1.688100 -1.678800
H 0.068400 2.272100 1.686300
H 0.068400 2.272100 -1.686300
"""


@pytest.mark.parametrize(
    ("unit", "factor"), [("bohr", 1.0), ("nanometres", 0.0529177), ("picometres", 52.9177)]
)
def test_a_geometry_in_another_unit_is_told_as_such(unit: str, factor: float, tmp_path: Path) -> None:
    head, *lines = ETHANOL_IN_BOHR.splitlines()[1:]
    scaled = [
        " ".join([line.split()[0], *(f"{float(x) * factor:.7f}" for x in line.split()[1:])]) for line in lines
    ]
    (tmp_path / "e.xyz").write_text("\n".join(["9", head, *scaled]))
    molecule = one(tmp_path / "e.xyz")
    assert molecule.status == "input_error"
    assert f"the coordinates seem to be in {unit}" in molecule.message


def test_bonds_that_the_coordinates_contradict_are_an_input_error(tmp_path: Path) -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    good = mol.GetConformer().GetPositions()
    for name, positions, says in [
        ("far", good + np.eye(9)[[0]].T * 4, "its bonds and its coordinates contradict each other"),
        ("bohr", good / 0.529177, "seem to be in bohr"),
    ]:
        mol.GetConformer().SetPositions(positions)
        (tmp_path / f"{name}.sdf").write_text(Chem.MolToMolBlock(mol) + "$$$$\n")
        molecule = one(tmp_path / f"{name}.sdf")
        assert molecule.status == "input_error" and says in molecule.message
        assert "Å long" in molecule.message


def test_two_charges_on_one_geometry_and_comment_lines_of_charge_and_multiplicity(tmp_path: Path) -> None:
    atoms = "O 0 0 0.11779\nH 0 0.755453 -0.471161\nH 0 -0.755453 -0.471161\n"
    (tmp_path / "w.xyz").write_text(f"3\n0 1\n{atoms}3\n1 2\n{atoms}")
    assert [(m.charge, m.multiplicity, m.status) for m in read_molecules(tmp_path / "w.xyz")] == [
        (0, 1, "ok"),
        (1, 2, "ok"),
    ]


HYDROXIDE = "O 0.0 0.0 0.0\nH 0.0 0.0 0.96\n"
PROGRAM_FILES = {
    "a.gjf": f"%mem=1GB\n#p b3lyp/6-31g(d) opt\n\na title\n\n-1 1\n{HYDROXIDE}\n\n",
    "a.com": "# hf/3-21g\n\n0 1 is a title too\n\n-1 1\nO(Fragment=1) 0 0.0 0.0 0.0\nH 0 0.0 0.0 0.96\n\n",
    "a.inp": f"! r2SCAN-3c Opt\n%pal nprocs 4 end\n* xyz -1 1\n{HYDROXIDE}*\n",
}


@pytest.mark.parametrize("name", PROGRAM_FILES)
def test_inputs_of_programs_are_molecules(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(PROGRAM_FILES[name])
    molecule = one(tmp_path / name)
    assert (molecule.id, molecule.status, molecule.message) == ("a", "ok", "")
    assert (molecule.charge, molecule.multiplicity, plain(molecule)) == (-1, 1, "[OH-]")
    assert molecule.positions is not None and molecule.positions[1, 2] == 0.96


GAUSSIAN = """ Entering Gaussian System, Link 0=g16
 Charge = -1 Multiplicity = 1
                         Standard orientation:
 ---------------------------------------------------------------------
 Center     Atomic      Atomic             Coordinates (Angstroms)
 Number     Number       Type             X           Y           Z
 ---------------------------------------------------------------------
      1          8           0        0.000000    0.000000    {first}
      2          1           0        0.000000    0.000000    0.960000
 ---------------------------------------------------------------------
 SCF Done:  E(RHF) =  -74.8673     A.U. after    9 cycles
"""
ORCA = """                                 * O   R   C   A *
---------------------------------
CARTESIAN COORDINATES (ANGSTROEM)
---------------------------------
  O      0.000000    0.000000    {first}
  H      0.000000    0.000000    0.960000

 Total Charge           Charge          ....   -1
 Multiplicity           Mult            ....    1
"""


@pytest.mark.parametrize(("name", "text"), [("a.log", GAUSSIAN), ("a.out", ORCA)])
def test_outputs_of_programs_give_their_last_geometry(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text.format(first="0.100000") + text.format(first="0.000000"))
    molecule = one(tmp_path / name)
    assert (molecule.id, molecule.status, molecule.message) == ("a", "ok", "")
    assert (molecule.charge, plain(molecule)) == (-1, "[OH-]")
    assert molecule.positions is not None and molecule.positions[0, 2] == 0.0


def test_program_files_without_coordinates(tmp_path: Path) -> None:
    (tmp_path / "a.inp").write_text("! HF\n* xyzfile 0 1 other.xyz\n")
    assert "no Cartesian coordinates" in one(tmp_path / "a.inp").message
    (tmp_path / "b.log").write_text("nothing of either\n")
    with pytest.raises(InputFileError, match="not an output of Gaussian or ORCA"):
        read_molecules(tmp_path / "b.log")


@pytest.mark.parametrize(("comment", "status"), [("", "input_error"), ("charge=0", "ok"), ("q=-1", "ok")])
def test_an_odd_number_of_electrons_needs_a_charge(tmp_path: Path, comment: str, status: str) -> None:
    """An ion whose charge nobody states is not a neutral radical."""
    (tmp_path / "a.xyz").write_text(f"2\n{comment}\nO 0 0 0\nH 0 0 0.96\n")
    molecule = one(tmp_path / "a.xyz")
    assert molecule.status == status
    assert status == "ok" or "state charge=" in molecule.message
