"""Training sets made of relaxed shards."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prerelax.datasets.structures import collect, read_npz, write_npz
from prerelax.errors import UserError
from prerelax.records.record import Record
from prerelax.records.shard import write_shard
from prerelax.set_making.relaxed import collect_relaxed, join_sets

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
    assert found.ids.tolist() == [0, 2]
    np.testing.assert_allclose(found.positions, np.concatenate([WATER.positions] * 2), atol=1e-6)


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        (["7", "12"], [7, 12]),
        (["foo", "0"], [0, 1]),
        (["007", "7"], [0, 1]),
        (["99999999999999999999", "1"], [0, 1]),
    ],
)
def test_ids_stay_where_all_are_different_numbers(tmp_path: Path, ids: list[str], kept: list[int]) -> None:
    write_shard(tmp_path / "0.extxyz", [replace(WATER, id=id) for id in ids])
    assert collect_relaxed(tmp_path / "set.npz", [tmp_path / "0.extxyz"]) == (2, 0)
    assert read_npz(tmp_path / "set.npz").ids.tolist() == kept


def test_nothing_to_collect_is_one_sentence(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.extxyz", [replace(WATER, converged=False)])
    with pytest.raises(UserError, match="none of 1 rows"):
        collect_relaxed(tmp_path / "set.npz", [tmp_path / "0.extxyz"])
    write_shard(tmp_path / "0.extxyz", [WATER])
    with pytest.raises(UserError, match="one id"):
        collect_relaxed(tmp_path / "set.npz", [tmp_path / "0.extxyz"] * 2)
    write_shard(tmp_path / "0.extxyz", [replace(WATER, id="list-1")])
    write_shard(tmp_path / "1.extxyz", [replace(WATER, id="list-1")])
    found = collect_relaxed(tmp_path / "set.npz", [tmp_path / "0.extxyz", tmp_path / "1.extxyz"])
    assert found == (2, 0), "two lists without names"


def test_of_conformers_the_lowest_is_kept_with_its_start(tmp_path: Path) -> None:
    smiles = "[O:1]([H:2])[H:3]"
    moved = np.add(WATER.positions, [1.0, 2.0, 3.0])
    rows = [
        replace(WATER, smiles=smiles, conformer=0, energy_ev=-1.0),
        replace(WATER, smiles=smiles, conformer=1, energy_ev=-2.0, positions=moved),
        replace(WATER, smiles=smiles, conformer=2, energy_ev=-3.0, converged=False),
    ]
    write_shard(tmp_path / "minima.extxyz", rows)
    begun = [replace(row, positions=row.positions * 1.02, converged=None) for row in rows]
    write_shard(tmp_path / "starts.extxyz", begun)
    assert collect_relaxed(
        tmp_path / "set.npz", [tmp_path / "minima.extxyz"], [tmp_path / "starts.extxyz"]
    ) == (
        1,
        2,
    )
    found = read_npz(tmp_path / "set.npz")
    np.testing.assert_allclose(found.positions, moved, atol=1e-5)
    assert found.positions_start is not None and found.graphs is not None
    np.testing.assert_allclose(
        found.positions_start, moved.mean(0) + 1.02 * (moved - moved.mean(0)), atol=1e-5
    )
    write_shard(tmp_path / "starts.extxyz", begun[:1])
    with pytest.raises(UserError, match="no start of 12, conformer 1"):
        collect_relaxed(tmp_path / "set.npz", [tmp_path / "minima.extxyz"], [tmp_path / "starts.extxyz"])


def test_sets_are_joined_with_what_all_of_them_have(tmp_path: Path) -> None:
    paths = [tmp_path / f"{k}.npz" for k in range(3)]
    for k, path in enumerate(paths):
        one = collect([(k, WATER.numbers, WATER.positions + k)])
        write_npz(path, replace(one, positions_start=one.positions + 0.1) if k else one)
    assert join_sets(tmp_path / "all.npz", paths) == 3
    assert read_npz(tmp_path / "all.npz").positions_start is None
    join_sets(tmp_path / "two.npz", paths[1:])
    two = read_npz(tmp_path / "two.npz")
    assert two.ids.tolist() == [1, 2] and two.positions_start is not None
    np.testing.assert_allclose(two.positions_start, two.positions + 0.1, atol=1e-6)
    with pytest.raises(UserError, match="share ids"):
        join_sets(tmp_path / "bad.npz", [paths[0], paths[0]])
