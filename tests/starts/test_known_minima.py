"""Displaced and diffused minima: which they are, and what happens to rows without a known minimum."""

from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule as ase_molecule

from prerelax.datasets.qm7x import LabelledStructures, write_qm7x
from prerelax.errors import UserError
from prerelax.molecules.superposition import rmsd
from prerelax.records.record import Record
from prerelax.records.settings import sha256_of_files
from prerelax.records.shard import read_shard, write_shard
from prerelax.starts.known_minima import diffused_shard, displaced_shard

SCALES = (0.3, 0.05, 0.1, 0.4, 0.2)


def row(name: str, **changes: object) -> Record:
    atoms = ase_molecule(name)
    fields = {"id": name, "numbers": atoms.numbers, "positions": atoms.positions, "start": "minima"}
    return Record(**{**fields, **changes})  # type: ignore[arg-type]


def labelled_set(path: Path, names: list[str]) -> None:
    """Each molecule and five displacements of it, as far as SCALES."""
    rng = np.random.default_rng(0)
    geometries, numbers, equilibrium = [], [], []
    for number, name in enumerate(names):
        atoms = ase_molecule(name)
        shape = rng.normal(size=atoms.positions.shape)
        geometries += [atoms.positions, *(atoms.positions + scale * shape for scale in SCALES)]
        numbers += [atoms.numbers] * 6
        equilibrium += [number] * 6
    write_qm7x(
        path,
        LabelledStructures(
            n_atoms=np.array([len(z) for z in numbers]),
            numbers=np.concatenate(numbers).astype(np.uint8),
            positions=np.concatenate(geometries).astype(np.float32),
            energies=np.zeros(len(numbers)),
            forces=np.zeros((sum(map(len, numbers)), 3), dtype=np.float32),
            equilibrium=np.array(equilibrium),
            displacement=np.tile(np.arange(6), len(names)),
        ),
    )


def test_three_displacements_of_every_minimum_by_rmsd(tmp_path: Path) -> None:
    labelled_set(tmp_path / "set.npz", ["CH3OH", "H2O"])
    failed = row("NH3", status="scf_failed", message="no energy")
    write_shard(tmp_path / "minima.extxyz", [row("H2O"), row("CH3OH"), row("C2H6"), failed])
    displaced_shard(tmp_path / "minima.extxyz", tmp_path / "out.extxyz", tmp_path / "set.npz", "displaced")
    rows = read_shard(tmp_path / "out.extxyz")
    assert [(r.id, r.conformer) for r in rows] == [
        (n, c) for n in ("H2O", "CH3OH", "C2H6", "NH3") for c in range(3)
    ]
    assert [r.status for r in rows] == ["ok"] * 6 + ["input_error"] * 3 + ["scf_failed"] * 3
    assert "no equilibrium at this geometry" in rows[6].message
    assert f'"set_sha256": "{sha256_of_files(tmp_path / "set.npz")}"' in str(rows[0].settings)
    for name, three in (("H2O", rows[:3]), ("CH3OH", rows[3:6])):
        minimum = ase_molecule(name).positions
        shape = (three[2].positions - minimum) / max(SCALES)
        all_distances = sorted(rmsd(minimum + scale * shape, minimum) for scale in SCALES)
        expected = [all_distances[0], all_distances[2], all_distances[-1]]
        assert [rmsd(r.positions, minimum) for r in three] == pytest.approx(expected, abs=1e-4)


def test_a_set_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    write_shard(tmp_path / "minima.extxyz", [row("H2O")])
    np.savez(tmp_path / "set.npz", z=np.zeros((1, 3)))
    with pytest.raises(UserError, match="does not hold the arrays"):
        displaced_shard(tmp_path / "minima.extxyz", tmp_path / "out.extxyz", tmp_path / "set.npz", "x")


def test_noise_is_the_schedules_and_follows_from_the_id(tmp_path: Path) -> None:
    rows = [row("C6H6", id=f"m{i}") for i in range(80)]
    write_shard(tmp_path / "minima.extxyz", [*rows, row("H2O", status="embed_failed")])
    for name in ("a", "b"):
        diffused_shard(tmp_path / "minima.extxyz", tmp_path / f"{name}.extxyz", [50, 200], "diffused")
    out = read_shard(tmp_path / "a.extxyz")
    assert len(out) == 162 and [r.status for r in out[-2:]] == ["embed_failed"] * 2
    minimum = rows[0].positions - rows[0].positions.mean(axis=0)
    # alpha = 1 - (step / T)^2 at the step's end: 51 and 201 thousandths.
    for place, fraction in ((0, 0.051), (1, 0.201)):
        alpha = 1 - fraction**2
        noise = np.array([r.positions - alpha * minimum for r in out[:-2][place::2]])
        assert np.abs(noise.mean(axis=1)).max() < 1e-8
        expected = np.sqrt(1 - alpha**2) * np.sqrt(11 / 12)  # centred: a twelfth of the variance is gone
        assert noise.std() == pytest.approx(expected, rel=0.02)
    again = read_shard(tmp_path / "b.extxyz")
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(out, again, strict=True))
