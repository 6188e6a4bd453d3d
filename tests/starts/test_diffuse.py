"""Denoised starts: every row kept, none broken, the rest of the shard untouched by a bad one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest

from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.single_points import read_frames
from prerelax.starts.diffuse import diffuse_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard
from prerelax.starts.options import DiffuseOptions

MODEL = "edm-qm9-small"


@pytest.fixture(scope="module")
def minimised(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder = tmp_path_factory.mktemp("molecules")
    (folder / "m.csv").write_text("id,smiles\nethanol,CCO\nbroken,C1CC\nthiol,CS\nformamide,NC=O\n")
    embed_shard(folder / "m.csv", folder / "rdkit.extxyz", None, 1, 42)
    forcefield_shard(folder / "rdkit.extxyz", folder / "mmff94.extxyz", "mmff94", None, "mmff94")
    return read_shard(folder / "mmff94.extxyz")


def denoised(folder: Path, records: list[Record], **options: Any) -> list[Record]:
    write_shard(folder / "in.extxyz", records)
    trajectory = options.pop("trajectory", None)
    chosen = DiffuseOptions.model_validate({"model": MODEL, **options})
    diffuse_shard(folder / "in.extxyz", folder / "out.extxyz", chosen, "s", trajectory=trajectory)
    return read_shard(folder / "out.extxyz")


def test_rows_out_are_rows_in_each_with_its_status(tmp_path: Path, minimised: list[Record]) -> None:
    rows = denoised(tmp_path, minimised, steps=20, sampler="edm", fallback="none")
    assert [row.id for row in rows] == ["ethanol", "broken", "thiol", "formamide"]
    assert [row.status for row in rows] == ["ok", "input_error", "unsupported_element", "ok"]
    assert "S" in rows[2].message
    np.testing.assert_allclose(rows[2].positions, minimised[2].positions, atol=1e-7)
    assert [row.start for row in rows if row.status == "ok"] == ["s", "s"]


def test_geometries_approach_those_of_the_training_level(tmp_path: Path, minimised: list[Record]) -> None:
    formamide = denoised(tmp_path, minimised, sampler="few")[3]
    distances = np.linalg.norm(formamide.positions[:, None] - formamide.positions[None], axis=-1)
    # QM9's own formamide, B3LYP/6-31G(2df,p)
    assert distances[0, 1] == pytest.approx(1.360, abs=0.01)
    assert distances[1, 2] == pytest.approx(1.209, abs=0.01)


def test_the_cost_of_the_batch_is_shared_out(tmp_path: Path, minimised: list[Record]) -> None:
    rows = denoised(tmp_path, minimised, sampler="few", calls=3)
    ethanol, formamide = rows[0], rows[3]
    assert set(ethanol.stages_s) == {"rdkit", "mmff94", "s"}
    assert ethanol.wall_s == ethanol.stages_s["s"] > 0
    assert ethanol.wall_s / formamide.wall_s == pytest.approx((9 / 6) ** 2)


def test_a_geometry_that_fell_apart_is_never_handed_on(tmp_path: Path, minimised: list[Record]) -> None:
    ethanol = minimised[0]
    scattered = replace(
        ethanol, positions=np.random.default_rng(0).normal(scale=4.0, size=ethanol.positions.shape)
    )
    row = denoised(tmp_path, [scattered, ethanol], sampler="few", fallback="none")
    assert row[0].status == "connectivity_changed"
    assert "steps" in row[0].message
    np.testing.assert_allclose(row[0].positions, scattered.positions, atol=1e-7)
    assert row[1].status == "ok"


def test_a_trajectory_runs_from_the_input_to_the_result(tmp_path: Path, minimised: list[Record]) -> None:
    rows = denoised(tmp_path, minimised[:1], sampler="few", calls=3, trajectory=tmp_path / "t.extxyz")
    frames = ase.io.read(tmp_path / "t.extxyz", index=":")
    assert [frame.info["call"] for frame in frames] == [0, 1, 2, 3]
    assert frames[0].info["id"] == "ethanol"
    np.testing.assert_allclose(frames[0].positions, minimised[0].positions, atol=1e-6)
    np.testing.assert_allclose(frames[-1].positions, rows[0].positions, atol=1e-6)


def test_a_molecule_does_not_depend_on_its_shard(tmp_path: Path, minimised: list[Record]) -> None:
    together = denoised(tmp_path, minimised, sampler="edm", steps=20)[3]
    alone = denoised(tmp_path, minimised[3:], sampler="edm", steps=20)[0]
    np.testing.assert_allclose(alone.positions, together.positions, atol=1e-4)


def test_an_epoch_that_the_training_did_not_keep_is_one_sentence(
    tmp_path: Path, minimised: list[Record], repository: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "epoch-0.25").symlink_to(repository / "models" / MODEL)
    (run / "epoch-0004").symlink_to(repository / "models" / MODEL)
    kept = denoised(tmp_path, minimised, model=str(run), epoch=0.25, sampler="few", fallback="none")
    assert [row.status for row in kept] == ["ok", "input_error", "unsupported_element", "ok"]
    lacking = denoised(tmp_path, minimised, model=str(run), epoch=8.0, sampler="few")
    assert [row.status for row in lacking] == ["skipped", "input_error", "skipped", "skipped"]
    assert "kept no epoch 8; it kept 0.25, 4" in lacking[0].message


def test_a_trajectory_of_molecules_that_cannot_be_denoised_is_empty(
    tmp_path: Path, minimised: list[Record]
) -> None:
    path = tmp_path / "path.extxyz"
    denoised(tmp_path, minimised[2:3], sampler="edm", steps=2, trajectory=path)
    assert read_frames(path) == []
    denoised(tmp_path, minimised[:1], sampler="edm", steps=2, trajectory=path)
    assert [frame.call for frame in read_frames(path)] == [0, 1, 2, 3]
