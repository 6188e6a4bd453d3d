"""Pairs start → minimum, from sets and from relaxed shards."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prerelax.datasets.structures import collect, read_settings, write_npz
from prerelax.errors import UserError
from prerelax.records.record import Record
from prerelax.records.shard import write_shard
from prerelax.set_making.pairs import read_pairs
from prerelax.set_making.relaxed import collect_relaxed

GFN2 = json.dumps({"engine": "tblite", "method": "GFN2-xTB", "fmax_ev_ang": 0.01})
GFN1 = json.dumps({"engine": "tblite", "method": "GFN1-xTB"})
POSITIONS = np.array([[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]])
WATER = Record(
    "12",
    np.array([8, 1, 1]),
    POSITIONS,
    smiles="[O:1]([H:2])[H:3]",
    converged=True,
    connectivity_unchanged=True,
    target="gfn2",
    n_gradients=5,
    settings=GFN2,
    start_settings=json.dumps({"verb": "forcefield"}),
    start_positions=POSITIONS * 1.02,
)


def test_relaxed_shards_give_their_converged_rows_and_their_level(tmp_path: Path) -> None:
    broken = POSITIONS.copy()
    broken[1] *= 3
    rows = [
        WATER,
        replace(WATER, id="not converged", converged=False, n_gradients=40),
        replace(WATER, id="other bonds", connectivity_unchanged=False),
        replace(WATER, id="broken start", start_positions=broken),
        replace(WATER, id="denoised", start_settings=json.dumps({"verb": "diffuse"})),
        Record("failed", status="embed_failed", target="gfn2"),
        replace(WATER, id="also", positions=POSITIONS + 1.0),
    ]
    write_shard(tmp_path / "0.extxyz", rows)
    found = read_pairs([tmp_path / "0.extxyz"])
    assert len(found.structures) == 2 and found.n_left_out == 5
    assert found.level == "GFN2-xTB (tblite)" and found.settings_sha256 is not None
    assert found.n_gradients == 65, "what failed cost as well"
    np.testing.assert_allclose(found.structures.positions[3:], POSITIONS + 1.0, atol=1e-5)
    start = found.structures.positions_start
    assert start is not None
    np.testing.assert_allclose(start[3:].mean(0), (POSITIONS + 1.0).mean(0), atol=1e-5)
    assert len(set(found.structures.graphs.tolist())) == 1  # type: ignore[union-attr]


def test_what_was_denoised_first_begins_at_the_force_field_all_the_same(tmp_path: Path) -> None:
    denoised = replace(WATER, start_settings=json.dumps({"verb": "diffuse"}))
    rows = [denoised, replace(denoised, id="unknown"), replace(WATER, id="not asked for", status="skipped")]
    write_shard(tmp_path / "relaxed.extxyz", rows)
    start = replace(WATER, positions=POSITIONS * 1.05, target=None, settings=WATER.start_settings)
    write_shard(tmp_path / "start.extxyz", [replace(start, converged=None, start_positions=None)])
    found = read_pairs([tmp_path / "relaxed.extxyz", tmp_path / "start.extxyz"])
    assert len(found.structures) == 1 and found.n_left_out == 1
    assert found.structures.positions_start is not None
    expected = POSITIONS.mean(0) + 1.05 * (POSITIONS - POSITIONS.mean(0))
    np.testing.assert_allclose(found.structures.positions_start, expected, atol=1e-5)
    with pytest.raises(UserError, match="is a shard of starts"):
        read_pairs([tmp_path / "start.extxyz"])


def test_sets_remember_their_level(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.extxyz", [WATER])
    write_shard(tmp_path / "starts.extxyz", [replace(WATER, positions=POSITIONS * 1.02, target=None)])
    collect_relaxed(tmp_path / "set.npz", [tmp_path / "0.extxyz"], [tmp_path / "starts.extxyz"])
    assert read_settings(tmp_path / "set.npz") == {GFN2}
    found = read_pairs([tmp_path / "set.npz", tmp_path / "0.extxyz"])
    assert found.level == "GFN2-xTB (tblite)" and len(found.structures) == 2


def test_what_is_not_pairs_of_one_level_is_one_sentence(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.extxyz", [WATER])
    write_shard(tmp_path / "1.extxyz", [replace(WATER, settings=GFN1)])
    with pytest.raises(UserError, match=r"several levels, GFN2-xTB .tblite. .* and GFN1-xTB .tblite."):
        read_pairs([tmp_path / "0.extxyz", tmp_path / "1.extxyz"])
    plain = replace(
        collect([(1, WATER.numbers, POSITIONS)]), positions_start=(POSITIONS * 1.02).astype(np.float32)
    )
    write_npz(tmp_path / "old.npz", plain)
    old = read_pairs([tmp_path / "old.npz"])
    assert old.level is None and old.n_gradients is None
    with pytest.raises(UserError, match=r"old.npz does not say its level, the other pairs are of GFN2"):
        read_pairs([tmp_path / "0.extxyz", tmp_path / "old.npz"])
    write_npz(tmp_path / "bare.npz", collect([(1, WATER.numbers, POSITIONS)]))
    with pytest.raises(UserError, match=r"bare.npz has no starts .* add-starts"):
        read_pairs([tmp_path / "bare.npz"])
    write_shard(tmp_path / "starts.extxyz", [replace(WATER, target=None)])
    with pytest.raises(UserError, match=r"shard of starts; pairs are relaxed shards"):
        read_pairs([tmp_path / "starts.extxyz"])
    write_shard(tmp_path / "none.extxyz", [replace(WATER, converged=False)])
    with pytest.raises(UserError, match="none of 1 rows is a converged minimum"):
        read_pairs([tmp_path / "none.extxyz"])
