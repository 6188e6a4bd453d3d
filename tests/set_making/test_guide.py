"""What two-level learns of a level, from trajectories."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from prerelax.errors import UserError
from prerelax.records.record import Record
from prerelax.records.shard import write_frames
from prerelax.relaxation.cheap_surface import CheapSurface
from prerelax.relaxation.learned_difference import read_learned
from prerelax.set_making.guide import learn_difference

SETTINGS = {"engine": "pyscf", "method": "PBE", "basis": "def2-SVP", "optimizer": "two-level"}
NAMES = ("H2O", "CH4", "CH3OH", "C2H6", "NH3", "H3CNH2", "H2CO", "C2H4", "HCN", "C2H2")
LONGER = 0.25
"""eV/Å by which the target pulls at every bond to hydrogen"""


def write_trajectory(path, names=NAMES, **settings):
    frames = []
    for name in names:
        atoms = molecule(name)
        surface = CheapSurface("gfn1", atoms.numbers, 0, 1)
        for place in range(2):
            atoms.rattle(0.02, seed=place)
            forces = -surface(atoms.positions.ravel())[1].reshape(-1, 3)
            for hydrogen in np.flatnonzero(atoms.numbers == 1):
                others = atoms.positions - atoms.positions[hydrogen]
                nearest = int(np.argsort(np.linalg.norm(others, axis=1))[1])
                pull = LONGER * others[nearest] / np.linalg.norm(others[nearest])
                forces[hydrogen] -= pull
                forces[nearest] += pull
            record = Record(name, atoms.numbers, atoms.positions.copy(), start="mmff94", target="pbe")
            record = replace(record, settings=json.dumps({**SETTINGS, "hessian": "gfn1", **settings}))
            frame = record.as_atoms()
            frame.calc = SinglePointCalculator(frame, energy=-1.0, forces=forces)
            frames.append(frame)
    write_frames(path, frames)
    return path


def test_the_pull_at_bonds_is_found_in_the_gradients(tmp_path):
    paths = [
        write_trajectory(tmp_path / "0.extxyz", NAMES[:5]),
        write_trajectory(tmp_path / "1.extxyz", NAMES[5:]),
    ]
    found = learn_difference(paths, tmp_path / "guide.json")
    assert (found.level, found.guide, found.n_molecules, found.n_gradients) == (
        "PBE/def2-SVP (pyscf)",
        "gfn1",
        10,
        20,
    )
    assert read_learned(tmp_path / "guide.json") == found
    slopes = [found.terms[each][1] for each in ("stretch C4-H1", "stretch C-H", "stretch X-H")]
    assert sum(slopes) == pytest.approx(-LONGER, abs=0.05)


def test_what_teaches_nothing_is_refused(tmp_path):
    few = write_trajectory(tmp_path / "few.extxyz", NAMES[:3])
    with pytest.raises(UserError, match="3 molecules are too few"):
        learn_difference([few], tmp_path / "out.json")
    unguided = write_trajectory(tmp_path / "bfgs.extxyz", NAMES[:1], optimizer="bfgs")
    with pytest.raises(UserError, match="no relaxation by two-level"):
        learn_difference([unguided], tmp_path / "out.json")
    other = write_trajectory(tmp_path / "other.extxyz", NAMES[:1], basis="def2-TZVP")
    with pytest.raises(UserError, match="several levels: PBE/def2-SVP"):
        learn_difference([few, other], tmp_path / "out.json")
    model = write_trajectory(tmp_path / "model.extxyz", NAMES[:1], hessian="lindh")
    with pytest.raises(UserError, match="gfn1, gfn2 and mmff94 only"):
        learn_difference([model], tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()
