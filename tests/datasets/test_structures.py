"""Sets of structures in one file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prerelax.datasets.structures import collect, read_npz, write_npz
from prerelax.errors import UserError

WATER = collect([(7, np.array([8, 1, 1]), np.eye(3))])


def test_a_set_is_written_where_it_was_told_whole_or_not_at_all(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.dat", WATER)
    assert [path.name for path in tmp_path.iterdir()] == ["set.dat"]
    assert read_npz(tmp_path / "set.dat").ids.tolist() == [7]


def test_starts_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    for wrong in (
        replace(WATER, positions=np.full((3, 3), np.inf)),
        replace(WATER, positions_start=np.full((3, 3), np.nan)),
    ):
        write_npz(tmp_path / "set.npz", wrong)
        with pytest.raises(UserError, match="coordinates that are not finite"):
            read_npz(tmp_path / "set.npz")
