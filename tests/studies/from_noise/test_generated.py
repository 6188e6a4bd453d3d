"""Validity, uniqueness and novelty of generated molecules: real structures are valid, copies not unique."""

from pathlib import Path
from typing import Any

import ase.build
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from prerelax.datasets.structures import read_npz
from prerelax.errors import UserError
from prerelax.studies.from_noise.analysis import (
    judge,
    known_smiles,
    shares,
    summarise,
    summarise_runs,
    table_smiles,
    verdict,
    write_known,
)
from prerelax.studies.from_noise.samples import Samples, joined

MOLECULES = {
    "CH4": "C",
    "C2H4": "C=C",
    "HCN": "C#N",
    "H2CO": "C=O",
    "CH3CH2OH": "CCO",
    "CH3CONH2": "CC(N)=O",
    "C4H4O": "c1ccoc1",
}


def named(name: str) -> tuple[np.ndarray, np.ndarray]:
    atoms = ase.build.molecule(name)
    return atoms.numbers, atoms.positions


def samples_of(molecules: list[tuple[np.ndarray, np.ndarray]], **changes: Any) -> Samples:
    """Finished samples of these geometries, looked at after 3 iterations when all atoms were on one spot."""
    sizes = [len(z) for z, _ in molecules]
    positions = np.concatenate([x for _, x in molecules]).astype(np.float32)
    made: dict[str, Any] = {
        "ids": np.array([f"{i:06d}" for i in range(len(molecules))]),
        "n_atoms": np.array(sizes),
        "numbers": np.concatenate([z for z, _ in molecules]).astype(np.uint8),
        "positions": positions,
        "status": np.array(["ok"] * len(molecules)),
        "iterations": np.full(len(molecules), 5),
        "steps": np.tile(np.arange(5, dtype=np.int16)[::-1], len(molecules)),
        "limits": np.array([3]),
        "positions_at_limits": np.zeros_like(positions)[None],
        "seconds": 1.0,
        "model": "m",
        "sampler": "jt",
    }
    return Samples(**made | changes)


@pytest.mark.parametrize("name", MOLECULES)
def test_real_molecules_are_what_they_are(name: str) -> None:
    found = verdict(*named(name))
    assert found.satisfied == 1 and found.connected
    assert found.table_smiles == found.rdkit_smiles == Chem.CanonSmiles(MOLECULES[name])


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(MOLECULES)), st.integers(0, 2**32 - 1))
def test_order_of_atoms_place_and_mirror_image_do_not_matter(name: str, seed: int) -> None:
    numbers, positions = named(name)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(numbers))
    turned = positions[order] @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + rng.normal(size=3) * 5
    moved, still = verdict(numbers[order], turned), verdict(numbers, positions)
    assert (moved.table_smiles, moved.rdkit_smiles) == (still.table_smiles, still.rdkit_smiles)


def test_stereoisomers_are_one_molecule(data_folder: Path) -> None:
    left = Chem.AddHs(Chem.MolFromSmiles("C[C@H](O)C=N"))
    right = Chem.AddHs(Chem.MolFromSmiles("C[C@@H](O)C=N"))
    from rdkit.Chem import AllChem

    found = set()
    for mol in (left, right):
        AllChem.EmbedMolecule(mol, randomSeed=1)
        AllChem.MMFFOptimizeMolecule(mol)
        numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        found.add(verdict(numbers, mol.GetConformer().GetPositions()).rdkit_smiles)
    assert found == {"CC(O)C=N"}


def test_qm9_minima_are_valid(data_folder: Path) -> None:
    found = [verdict(numbers, positions) for _, numbers, positions in read_npz(data_folder / "qm9_val.npz")]
    by_table = np.mean([v.table_smiles is not None for v in found])
    by_rdkit = np.mean([v.rdkit_smiles is not None for v in found])
    print(f"{len(found)} QM9 minima: {by_table:.2%} valid by the table, {by_rdkit:.2%} by RDKit")
    assert by_table >= 0.95
    assert by_rdkit >= 0.99
    agree = [v.table_smiles == v.rdkit_smiles for v in found if v.table_smiles and v.rdkit_smiles]
    assert np.mean(agree) > 0.98


def test_broken_geometries_are_not_valid() -> None:
    numbers, positions = named("CH3CH2OH")
    stretched = positions.copy()
    stretched[0] += 3.0
    assert verdict(numbers, stretched).table_smiles is None and not verdict(numbers, stretched).connected
    two = np.concatenate([numbers, numbers]), np.concatenate([positions, positions + 20.0])
    apart = verdict(*two)
    assert apart.satisfied == 1 and not apart.connected
    assert apart.table_smiles is None and apart.rdkit_smiles is None
    with np.errstate(all="ignore"):
        for factor in (0.0, np.nan, 1e30, np.inf):
            assert verdict(numbers, positions * factor).table_smiles is None
    radical = verdict(numbers[:-1], positions[:-1])
    assert radical.table_smiles is None and radical.rdkit_smiles is None
    assert verdict(np.array([79, 1]), np.zeros((2, 3))).table_smiles is None


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=30))
def test_shares_are_cumulative(smiles: list[str | None]) -> None:
    found = shares(smiles, frozenset("ab"))
    valid = [s for s in smiles if s]
    n = max(len(smiles), 1)
    assert found["V"] == len(valid) / n
    assert found["V+U"] == len(set(valid)) / n
    assert found["V+U+N"] == len({"c", "d"} & set(valid)) / n
    assert 1 >= found["V"] >= found["V+U"] >= found["V+U+N"] >= 0
    twice = shares(smiles * 2, frozenset("ab"))
    assert twice["V"] == pytest.approx(found["V"]) and twice["V+U"] == pytest.approx(found["V+U"] / 2)


def test_known_molecules_come_from_structures_and_smiles(data_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "few.smi").write_text("OCC\tethanol\nC[C@H](N)O\nnot a molecule\n\n[2H]C\n")
    found = set(known_smiles([tmp_path / "few.smi"]))
    assert {"CCO", "CC(N)O"} <= found
    structures = read_npz(data_folder / "qm9_small_test.npz")
    n = write_known(tmp_path / "known.smi", [tmp_path / "few.smi", data_folder / "qm9_small_test.npz"])
    known = (tmp_path / "known.smi").read_text().split()
    assert len(known) == n and known == sorted(set(known))
    for _, numbers, positions in structures:
        smiles = table_smiles(numbers, positions)
        assert smiles is None or smiles in known
    (tmp_path / "cut.npz").write_bytes((data_folder / "qm9_small_test.npz").read_bytes()[:500])
    for wrong in (tmp_path / "cut.npz", tmp_path / "none.smi"):
        with pytest.raises(UserError, match=wrong.name):
            write_known(tmp_path / "out.smi", [wrong])
    assert not (tmp_path / "out.smi").exists()


def test_judged_samples_and_their_summary() -> None:
    ethanol, methane, water = named("CH3CH2OH"), named("CH4"), named("H2O")
    copy = (ethanol[0][::-1].copy(), ethanol[1][::-1] + 1.0)
    blown = (methane[0], methane[1])
    samples = samples_of(
        [ethanol, copy, methane, water, blown],
        status=np.array(["ok", "ok", "ok", "not_converged", "unknown_error"]),
    )
    judged = judge(samples).assign(compositions="c", run="r", model="m", sampler="jt")
    ends = judged[judged["limit"] == 0]
    assert ends["table_smiles"].tolist()[:4] == ["CCO", "CCO", "C", "O"]
    assert pd.isna(ends["table_smiles"].iloc[4])  # where the prediction ceased to be finite nothing is valid
    assert judged[judged["limit"] == 3]["table_smiles"].isna().all()
    numbers = summarise(judged, frozenset({"C"}))
    at_end = numbers[(numbers["limit"] == 0) & (numbers["validity_by"] == "table")].set_index("quantity")
    assert at_end["percent"].to_dict() == pytest.approx({"V": 80.0, "V+U": 60.0, "V+U+N": 40.0})
    assert (at_end["ci_low"] < at_end["percent"]).all() and (at_end["percent"] < at_end["ci_high"]).all()
    assert at_end["paper_percent"].to_dict() == {"V": 89.3, "V+U": 88.0, "V+U+N": 68.6}
    assert (numbers.loc[numbers["limit"] == 3, "percent"] == 0).all()
    runs = summarise_runs(judged).iloc[0]
    assert (runs["arrived_percent"], runs["blew_up_percent"]) == (60, 20)


def test_shards_are_joined_in_order_and_strangers_refused() -> None:
    one, two = samples_of([named("CH4")]), samples_of([named("H2O"), named("HCN")])
    both = joined([one, two])
    assert len(both) == 3 and both.seconds == 2
    assert [both.numbers[atoms].tolist() for atoms in both.atoms_of()][1] == named("H2O")[0].tolist()
    assert [steps.tolist() for steps in both.steps_of()] == [[4, 3, 2, 1, 0]] * 3
    with pytest.raises(UserError, match="cannot be joined"):
        joined([one, samples_of([named("H2O")], sampler="ddpm")])
