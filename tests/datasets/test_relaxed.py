"""Training sets made of relaxed shards."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prerelax.datasets.relaxed import collect_relaxed
from prerelax.datasets.structures import read_npz
from prerelax.errors import UserError
from prerelax.records import Record, write_shard

WATER = Record(
    "12",
    np.array([8, 1, 1]),
    np.array([[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]]),
    converged=True,
    connectivity_unchanged=True,
)


def test_only_minima_are_collected(tmp_path: Path) -> None:
    rows = [
        replace(WATER, id="a", converged=False),
        replace(WATER, id="b"),
        replace(WATER, id="c", connectivity_unchanged=False),
        Record("d", status="embed_failed"),
    ]
    write_shard(tmp_path / "0.extxyz", [WATER])
    write_shard(tmp_path / "1.extxyz", rows)
    assert collect_relaxed(tmp_path / "set.npz", [tmp_path / "0.extxyz", tmp_path / "1.extxyz"]) == (2, 3)
    found = read_npz(tmp_path / "set.npz")
    assert found.ids.tolist() == [12, 2]
    np.testing.assert_allclose(found.positions, np.concatenate([WATER.positions] * 2), atol=1e-6)


def test_nothing_to_collect_is_one_sentence(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.extxyz", [replace(WATER, converged=False)])
    with pytest.raises(UserError, match="none of 1 rows"):
        collect_relaxed(tmp_path / "set.npz", [tmp_path / "0.extxyz"])
    write_shard(tmp_path / "0.extxyz", [WATER])
    with pytest.raises(UserError, match="one id"):
        collect_relaxed(tmp_path / "set.npz", [tmp_path / "0.extxyz"] * 2)
