"""Cosines of steps, forces and the way to the minimum: known geometries have known angles."""

import numpy as np
import pytest

from prerelax.molecules.superposition import rmsd, superimposed
from prerelax.records.record import Record
from prerelax.relaxation.single_points import Frame
from prerelax.studies.alignment.analysis import MEASURES, mean_cosine, path_cosines

MINIMUM = np.array([[0.0, 0, 0], [1.2, 0, 0], [0, 1.3, 0.2], [0.3, -0.4, 1.1], [-0.9, 0.2, 0.7]])


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def straight_path(n: int, forces_along: float) -> list[Frame]:
    """A molecule that shrinks to its minimum; forces parallel to that or opposite."""
    away = 0.05 * (MINIMUM - MINIMUM.mean(axis=0))
    return [
        Frame(Record("m", np.ones(5, int), MINIMUM + left / n * away), n - left, 0.0, -forces_along * away)
        for left in range(n, -1, -1)
    ]


def test_superposition_undoes_any_motion() -> None:
    moved = MINIMUM @ rotation(3) + [1, 2, 3]
    np.testing.assert_allclose(superimposed(moved, MINIMUM), MINIMUM, atol=1e-9)
    mirrored = MINIMUM * [1, 1, -1]
    distance = np.sqrt(((superimposed(mirrored, MINIMUM) - MINIMUM) ** 2).sum(axis=1).mean())
    assert distance == pytest.approx(rmsd(mirrored, MINIMUM), abs=1e-9)
    assert distance > 0.1


@pytest.mark.parametrize("along", [1.0, -1.0])
def test_a_straight_path_follows_itself(along: float) -> None:
    rows = list(path_cosines(straight_path(6, along), MINIMUM, [1, 3]))
    assert [row["call"] for row in rows if row["k"] == 3] == [0, 1, 2, 3]
    assert rows[0]["calls_left"] == 6
    for row in rows:
        assert row["steps_forces"] == pytest.approx(along)
        assert row["steps_path"] == pytest.approx(1)
        assert row["forces_path"] == pytest.approx(along)


def test_a_turned_minimum_changes_nothing() -> None:
    path = straight_path(4, 1.0)
    rows = list(path_cosines(path, MINIMUM, [1]))
    turned = list(path_cosines(path, MINIMUM @ rotation(5) + 4.0, [1]))
    for one, other in zip(rows, turned, strict=True):
        assert [one[m] for m in MEASURES] == pytest.approx([other[m] for m in MEASURES], abs=1e-6)


def test_atoms_without_direction_are_left_out() -> None:
    a = np.array([[[1.0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]])
    b = np.array([[[2.0, 0, 0], [1, 1, 1]], [[1, 0, 0], [0, 1, 0]]])
    cosines = mean_cosine(a, b)
    assert cosines[0] == pytest.approx(1)
    assert np.isnan(cosines[1])
