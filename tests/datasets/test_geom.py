"""GEOM's published forms, written here from molecules that RDKit embeds."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from prerelax.datasets.geom import geom_structures, read_geom, split_by_conformer, split_by_molecule
from prerelax.errors import UserError

SMILES = ("CCO", "CC(=O)Nc1ccc(Br)cc1", "CS(=O)(=O)N")


def _conformers(smiles: str, n: int = 4) -> list[tuple[float, Chem.Mol]]:
    """Energies in Hartree, not in their order, and molecules of one conformer each."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=7)
    return [(-10.0 - 0.001 * ((5 * k) % n), Chem.Mol(mol, False, k)) for k in range(n)]


def _common(smiles: str) -> dict[str, Any]:
    return {"smiles": smiles, "charge": 0, "uniqueconfs": 4, "temperature": 298.15, "poplowestpct": 31.0}


def _pickled(smiles: str) -> dict[str, Any]:
    conformers = [
        {
            "geom_id": k,
            "set": 1,
            "degeneracy": 1,
            "totalenergy": energy,
            "boltzmannweight": 0.2,
            "rd_mol": mol,
        }
        for k, (energy, mol) in enumerate(_conformers(smiles))
    ]
    return {**_common(smiles), "conformers": conformers}


def _crude(smiles: str) -> dict[str, Any]:
    def rows(mol: Chem.Mol) -> list[list[float]]:
        numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
        positions = mol.GetConformer().GetPositions()
        return [[float(z), *map(float, xyz)] for z, xyz in zip(numbers, positions, strict=True)]

    conformers = [
        {"geom_id": k, "set": 1, "degeneracy": 1, "totalenergy": energy, "xyz": rows(mol)}
        for k, (energy, mol) in enumerate(_conformers(smiles))
    ]
    return {**_common(smiles), "conformers": conformers}


@pytest.fixture
def pickles(tmp_path: Path) -> Path:
    folder = tmp_path / "rdkit_folder" / "drugs"
    folder.mkdir(parents=True)
    for smiles in SMILES:
        name = smiles.replace("/", "_") + ".pickle"
        (folder / name).write_bytes(pickle.dumps(_pickled(smiles)))
    return folder


@pytest.fixture
def crude(tmp_path: Path) -> Path:
    """Two maps in one stream, as `drugs_crude.msgpack` has 292."""
    msgpack = pytest.importorskip("msgpack")
    path = tmp_path / "drugs_crude.msgpack"
    parts = ({s: _crude(s) for s in SMILES[:2]}, {SMILES[2]: _crude(SMILES[2])})
    path.write_bytes(b"".join(msgpack.packb(part) for part in parts))
    return path


def _expected(smiles: str, lowest: int) -> list[np.ndarray]:
    ranked = sorted(_conformers(smiles), key=lambda conformer: conformer[0])
    return [mol.GetConformer().GetPositions() for _, mol in ranked[:lowest]]


@pytest.mark.parametrize("form", ["pickles", "crude"])
def test_the_lowest_conformers_are_read(form: str, request: pytest.FixtureRequest) -> None:
    molecules = {m.name: m for m in read_geom(request.getfixturevalue(form), lowest=2)}
    assert set(molecules) == set(SMILES)
    for smiles, molecule in molecules.items():
        assert not molecule.message and len(molecule.conformers) == 2
        for (numbers, positions), expected in zip(molecule.conformers, _expected(smiles, 2), strict=True):
            np.testing.assert_allclose(positions, expected, atol=1e-5)
            assert numbers.tolist().count(35) == smiles.count("Br")


def test_pickles_of_python_2_and_numpy_are_read(tmp_path: Path) -> None:
    content = _pickled("CCO")
    for conformer in content["conformers"]:
        conformer["totalenergy"] = np.float64(conformer["totalenergy"])
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        path = tmp_path / f"{protocol}.pickle"
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        (molecule,) = read_geom(path, lowest=1)
        assert not molecule.message
        np.testing.assert_allclose(molecule.conformers[0][1], _expected("CCO", 1)[0], atol=1e-5)


class _Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_nothing_in_a_pickle_is_executed(pickles: Path, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    (pickles / "bomb.pickle").write_bytes(pickle.dumps({**_pickled("CCO"), "conformers": _Bomb(marker)}))
    found = geom_structures(pickles, lowest=1)
    structures, left_out = found.structures, found.left_out
    assert len(structures) == len(SMILES)
    (bomb,) = left_out
    assert bomb.name == "bomb.pickle" and "mkdir" in bomb.message
    assert not marker.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("conformers"), "'conformers' is missing"),
        (lambda c: c["conformers"][1].pop("totalenergy"), "'totalenergy' is missing"),
        (lambda c: c["conformers"][0].pop("rd_mol"), "'rd_mol' is missing"),
        (lambda c: c["conformers"][0].update(rd_mol="CCO"), "no molecule of RDKit"),
        (lambda c: c["conformers"][0].update(rd_mol=Chem.MolFromSmiles("CCO")), "0 geometries"),
        (lambda c: c.update(conformers=3), "not a molecule of GEOM"),
    ],
)
def test_a_molecule_that_lacks_something_is_left_out(pickles: Path, change: Any, said: str) -> None:
    broken = _pickled("CCO")
    broken["smiles"] = "broken"
    change(broken)
    (pickles / "broken.pickle").write_bytes(pickle.dumps(broken))
    left_out = geom_structures(pickles).left_out
    assert [m.name for m in left_out] == ["broken"]
    assert said in left_out[0].message


def test_a_pickle_cut_in_half_is_left_out(pickles: Path) -> None:
    whole = pickle.dumps(_pickled("CCO"))
    (pickles / "half.pickle").write_bytes(whole[: len(whole) // 2])
    found = geom_structures(pickles, lowest=1)
    structures, left_out = found.structures, found.left_out
    assert len(structures) == 3 and [m.name for m in left_out] == ["half.pickle"]


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_a_msgpack_cut_in_half_says_so(crude: Path, share: float) -> None:
    whole = crude.read_bytes()
    crude.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"cut off after [02] molecules"):
        geom_structures(crude)
    if share > 0.8:
        structures = geom_structures(crude, lowest=1, limit=2).structures
        assert len(structures) == 2


def test_missing_keys_and_nonsense_in_a_msgpack(crude: Path, tmp_path: Path) -> None:
    msgpack = pytest.importorskip("msgpack")
    odd = {
        "no xyz": {"conformers": [{"totalenergy": -1.0}]},
        "flat": {"conformers": [{"totalenergy": -1.0, "xyz": [1.0, 0.0, 0.0, 0.0]}]},
        "nan": {"conformers": [{"totalenergy": -1.0, "xyz": [[1.0, float("nan"), 0.0, 0.0]]}]},
        "element 0": {"conformers": [{"totalenergy": -1.0, "xyz": [[0.0, 0.0, 0.0, 0.0]]}]},
    }
    crude.write_bytes(crude.read_bytes() + msgpack.packb(odd))
    found = geom_structures(crude, lowest=1)
    structures, left_out = found.structures, found.left_out
    assert len(structures) == 3
    assert {m.name for m in left_out} == set(odd)
    (tmp_path / "list.msgpack").write_bytes(msgpack.packb([1, 2]))
    with pytest.raises(UserError, match="holds list"):
        geom_structures(tmp_path / "list.msgpack")
    (tmp_path / "text.msgpack").write_bytes(b"\xc1 not MessagePack")
    with pytest.raises(UserError, match="not MessagePack"):
        geom_structures(tmp_path / "text.msgpack")


def test_the_prepared_file_of_the_paper_is_read(crude: Path, tmp_path: Path) -> None:
    """What EDM's code writes of the same molecules: rows of (conformer, atomic number, x, y, z)."""
    rows, k = [], 0
    for molecule in read_geom(crude, lowest=3):
        for numbers, positions in molecule.conformers:
            rows.append(np.column_stack([np.full(len(numbers), k), numbers, positions]))
            k += 1
    np.save(tmp_path / "geom_drugs_30.npy", np.vstack(rows))
    prepared = geom_structures(tmp_path / "geom_drugs_30.npy").structures
    direct = geom_structures(crude, lowest=3).structures
    assert len(prepared) == 9
    np.testing.assert_array_equal(prepared.graphs, direct.graphs)
    np.testing.assert_allclose(prepared.positions, direct.positions, atol=1e-5)


def test_by_molecule_nothing_leaks_and_by_conformer_it_does(pickles: Path) -> None:
    structures = geom_structures(pickles).structures
    by_molecule = split_by_molecule(structures, 0.3)
    by_conformer = split_by_conformer(structures, 0.3)
    assert by_molecule.leaking == 0.0 and len(by_molecule.test) == 4
    assert by_conformer.leaking == 1.0 and len(by_conformer.test) == 4
    for split in (by_molecule, by_conformer):
        assert sorted([*split.training.ids, *split.test.ids]) == list(range(12))


@pytest.mark.parametrize("name", ["nothing.sdf", "absent.msgpack", "absent.pickle", "absent.npy", "."])
def test_other_files_are_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"GEOM is|cannot be read|holds no"):
        geom_structures(tmp_path / name)
