"""Energies along a trajectory: every frame keeps its place, what is known is not computed again."""

from dataclasses import replace
from pathlib import Path

import ase.build
import numpy as np
import pytest

from prerelax.engines import Level
from prerelax.records.record import Record
from prerelax.records.shard import ShardError, write_frames
from prerelax.relaxation.journal import journal_path
from prerelax.relaxation.settings import Only
from prerelax.relaxation.single_points import Chosen, read_frames, single_points

GFN2 = Level(engine="tblite", method="GFN2-xTB")


def trajectory(path: Path) -> Path:
    """Five geometries of water, the third with two atoms in one place, and three of hydrogen."""
    frames = []
    for name, n in (("H2O", 5), ("H2", 3)):
        atoms = ase.build.molecule(name)
        record = Record(name, atoms.numbers.astype(np.int64), atoms.positions, start="edm-n3")
        for call in range(n):
            positions = atoms.positions * (1.2 - 0.05 * call)
            if (name, call) == ("H2O", 2):
                positions[1] = positions[0]
            frame = replace(record, positions=positions).as_atoms()
            frame.info["call"] = call
            frames.append(frame)
    write_frames(path, frames)
    return path


def test_every_geometry_has_its_energy_and_forces(tmp_path: Path) -> None:
    path = trajectory(tmp_path / "path.extxyz")
    statuses = single_points(path, tmp_path / "out.extxyz", GFN2)
    assert statuses == {"ok": 7, "input_error": 1}
    frames = read_frames(tmp_path / "out.extxyz")
    assert [(f.molecule[0], f.call) for f in frames] == [("H2O", i) for i in range(5)] + [
        ("H2", i) for i in range(3)
    ]
    assert frames[2].energy_ev is None
    assert frames[2].record.status == "input_error"
    water = [f for f in frames if f.molecule[0] == "H2O"]
    assert water[4].energy_ev < water[0].energy_ev  # the stretched one is higher
    # Forces are the derivative of the energies of the path's neighbours.
    move = water[4].record.positions - water[3].record.positions
    mean_force = (water[3].forces + water[4].forces) / 2
    assert water[3].energy_ev - water[4].energy_ev == pytest.approx((mean_force * move).sum(), rel=0.1)


def test_known_energies_are_not_computed_again(tmp_path: Path) -> None:
    path, out = trajectory(tmp_path / "path.extxyz"), tmp_path / "out.extxyz"
    single_points(path, out, GFN2, chosen=Chosen(every=2))
    lines = [line for line in journal_path(out).read_text().splitlines() if '"key"' in line]
    assert [f.call for f in read_frames(out)] == [0, 2, 4, 0, 2]
    out.unlink()
    single_points(path, out, GFN2)
    again = [line for line in journal_path(out).read_text().splitlines() if '"key"' in line]
    assert len(again) == len(lines) + 3
    assert again[: len(lines)] == lines


def test_molecules_are_chosen_and_limited(tmp_path: Path) -> None:
    path, out = trajectory(tmp_path / "path.extxyz"), tmp_path / "out.extxyz"
    single_points(path, out, GFN2, chosen=Chosen(every=3, only=Only(max_atoms=2)))
    assert [(f.molecule[0], f.call) for f in read_frames(out)] == [("H2", 0), ("H2", 2)]
    single_points(path, out, GFN2, chosen=Chosen(every=4, molecules=1))
    assert [(f.molecule[0], f.call) for f in read_frames(out)] == [("H2O", 0), ("H2O", 4)]


def test_other_files_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="no such trajectory"):
        read_frames(tmp_path / "missing.extxyz")
    (tmp_path / "foreign.extxyz").write_text("1\nhello\nH 0 0 0\n")
    with pytest.raises(ShardError, match="lacks id, start, status"):
        read_frames(tmp_path / "foreign.extxyz")
    (tmp_path / "empty.extxyz").write_text("")
    assert read_frames(tmp_path / "empty.extxyz") == []
