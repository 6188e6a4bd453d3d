"""Which minimum a relaxation ended in, beside another one's."""

from pathlib import Path

import numpy as np
import pytest
from campaigns import relaxed, write_campaign
from rdkit import Chem
from rdkit.Chem import AllChem, rdMolTransforms

from prerelax.comparison.comparison import compare, read_comparison
from prerelax.comparison.ends import ALIKE_ANG, UNLIKE_ANG, where_ended
from prerelax.comparison.pairs import KCAL_MOL
from prerelax.molecules.graph import mapped_smiles
from prerelax.records.frames import read_geometries
from prerelax.records.record import Record
from prerelax.records.seal import ShardError
from prerelax.records.shard import read_shard, write_shard


def molecule(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(mol)
    return mol


def row(mol: Chem.Mol, start: str, positions: np.ndarray, **changes: object) -> Record:
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    said = {"numbers": numbers, "positions": positions, "smiles": mapped_smiles(mol), **changes}
    return Record(**{**relaxed("a", start, 5).__dict__, **said})


def end(tmp_path: Path, a: Record, b: Record) -> tuple[str, float]:
    compare(tmp_path / "comparison.csv", write_campaign(tmp_path, [a, b]))
    frame = read_comparison(tmp_path / "comparison.csv")
    found = frame[frame["start"] == b.start].iloc[0]
    return str(found["pair"]), float(found["rmsd_baseline_ang"])


def test_equivalent_atoms_and_mirror_images_are_one_minimum(tmp_path: Path) -> None:
    mol = molecule("CC(C)Cc1ccccc1")  # no atom of it is a stereo centre
    x = mol.GetConformer().GetPositions()
    ranks = np.array(Chem.CanonicalRankAtoms(mol, breakTies=False))
    heavy = [i for i in range(mol.GetNumAtoms()) if mol.GetAtomWithIdx(i).GetAtomicNum() > 1]
    (match,) = [
        m
        for m in mol.GetSubstructMatches(mol, uniquify=False, maxMatches=10_000)
        if [ranks[i] for i in m] == list(ranks) and sum(m[i] != i for i in heavy) == 6
    ][:1]
    turned = x[list(match)] @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    pair, apart = end(tmp_path, row(mol, "mmff94", x), row(mol, "edm", turned))
    assert pair == "same" and apart < 1e-3
    pair, apart = end(tmp_path, row(mol, "mmff94", x), row(mol, "edm", turned * [1, 1, -1]))
    assert pair == "same" and apart < 1e-3


def test_another_conformer_of_like_energy_is_another_minimum(tmp_path: Path) -> None:
    mol = molecule("CCCCCC")
    x = mol.GetConformer().GetPositions()
    rdMolTransforms.SetDihedralDeg(mol.GetConformer(), 1, 2, 3, 4, 60.0)
    gauche = mol.GetConformer().GetPositions()
    rdMolTransforms.SetDihedralDeg(mol.GetConformer(), 1, 2, 3, 4, 180.0)
    assert end(tmp_path, row(mol, "mmff94", x), row(mol, "edm", gauche, energy_ev=-10.0 - 0.01 * KCAL_MOL))[
        0
    ] in (
        "deeper",
        "undecided",
    )


@pytest.mark.parametrize(
    ("delta", "left", "of_mate", "apart", "word"),
    [
        (0.01, 0.0, 0.0, 0.02, "same"),
        (0.78, 0.75, 0.0, 0.2, "same"),  # the higher one is a loose end
        (-0.3, 0.01, 0.01, 0.02, "deeper"),
        (0.3, 0.01, 0.01, 0.02, "higher"),
        (0.15, np.nan, np.nan, 0.1, "same"),  # nothing is known but fmax
        (0.5, np.nan, np.nan, 0.1, "higher"),
        (0.01, 0.0, 0.0, UNLIKE_ANG + 0.01, "higher"),
        (0.01, 0.01, 0.01, (ALIKE_ANG + UNLIKE_ANG) / 2, "undecided"),
        (0.01, 0.001, 0.001, (ALIKE_ANG + UNLIKE_ANG) / 2, "higher"),  # neither has so far to go
        (0.01, 0.0, 0.0, np.nan, "undecided"),
        (-3.0, 0.0, 0.0, np.nan, "deeper"),
    ],
)
def test_where_a_relaxation_ended(delta: float, left: float, of_mate: float, apart: float, word: str) -> None:
    arrays = [np.array([value]) for value in (delta, left, of_mate, apart)]
    assert where_ended(*arrays).tolist() == [word]


def test_geometries_are_those_of_the_frames(tmp_path: Path) -> None:
    rows = [relaxed(id, "edm", 3) for id in ("T", 'say "x"', "two\nlines")]
    rows.append(Record(id="none", start="edm", status="embed_failed"))
    path = tmp_path / "0000.extxyz"
    write_shard(path, rows)
    for found, record in zip(read_geometries(path), read_shard(path), strict=True):
        np.testing.assert_array_equal(found, record.positions)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(ShardError, match="not a whole shard"):
        read_geometries(path)
