"""What `prerelax verify` says of single rows; whole campaigns are in tests/faults."""

from dataclasses import replace
from typing import Any

import pytest

from prerelax.comparison.verdict import Verdict
from prerelax.comparison.verification import _isomers
from prerelax.molecules.molecule import read_molecules
from prerelax.records.record import Record
from prerelax.starts.embed import embedded


@pytest.fixture
def alanine(tmp_path: Any) -> Record:
    (tmp_path / "m.csv").write_text("id,smiles\nL,C[C@H](N)C(=O)O\n")
    (row,) = embedded(read_molecules(tmp_path / "m.csv", None)[0])
    said = {"connectivity_unchanged": True, "stereo_unchanged": True, "start_positions": row.positions}
    return replace(row, start="mmff94", target="gfn2", **said)


def looked_at(*rows: Record) -> Verdict:
    verdict = Verdict("c")
    _isomers(verdict, rows)
    return verdict


def test_a_mirror_image_is_another_isomer_though_energy_and_bonds_are_the_same(alanine: Record) -> None:
    assert looked_at(alanine).problems == []
    mirrored = replace(alanine, positions=alanine.positions * [-1, 1, 1])
    (problem,) = looked_at(mirrored).problems
    assert problem.startswith("target gfn2, start mmff94, row 'L': its row does not say that stereochemistry")
    assert "C2 is inverted" in problem
    told = looked_at(replace(mirrored, stereo_unchanged=False))
    assert told.problems == [] and (told.n_geometries, told.n_other_stereo) == (1, 1)
    assert "1 relaxed geometry: 0 with other bonds than the molecule, 1 with another" in told.text
    of_earlier_version = looked_at(replace(mirrored, stereo_unchanged=None))
    assert len(of_earlier_version.problems) == 1


def test_a_row_that_contradicts_its_geometry_is_named(alanine: Record) -> None:
    apart = replace(alanine, positions=alanine.positions * 1.5)
    (problem,) = looked_at(apart).problems
    assert "does not say that bonds changed" in problem
    (problem,) = looked_at(replace(alanine, stereo_unchanged=False)).problems
    assert "speaks of changed stereochemistry, which its geometry has not" in problem
    (problem,) = looked_at(replace(alanine, smiles="[O:1]([H:2])[H:3]")).problems
    assert "row 'L'" in problem
