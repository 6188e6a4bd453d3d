"""Bond orders from distances: real molecules have allowed valences; the vectorised rules are EDM's."""

from pathlib import Path

import ase.build
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prerelax.molecules.bond_orders import DOUBLE_PM, SINGLE_PM, TRIPLE_PM, allowed, bond_orders, valences


@pytest.mark.parametrize(
    ("name", "pair", "order"),
    [("C2H2", (0, 1), 3), ("C2H4", (0, 1), 2), ("C2H6", (0, 1), 1), ("HCN", (0, 1), 3), ("H2CO", (0, 1), 2)],
)
def test_multiple_bonds(name: str, pair: tuple[int, int], order: int) -> None:
    atoms = ase.build.molecule(name)
    orders = bond_orders(atoms.numbers, atoms.positions)
    assert orders[pair] == orders[pair[::-1]] == order
    assert allowed(atoms.numbers, valences(orders)).all()


def one_pair(a: int, b: int, distance_ang: float) -> int:
    """EDM's rule for two atoms, as its code goes through it."""
    key = (min(a, b), max(a, b))
    if 100 * distance_ang >= SINGLE_PM[key] + 10:
        return 0
    if key in DOUBLE_PM and 100 * distance_ang < DOUBLE_PM[key] + 5:
        return 3 if key in TRIPLE_PM and 100 * distance_ang < TRIPLE_PM[key] + 3 else 2
    return 1


@given(st.lists(st.sampled_from([1, 6, 7, 8, 9]), min_size=2, max_size=6), st.integers(0, 2**32 - 1))
def test_many_geometries_at_once_are_each_alone(numbers: list[int], seed: int) -> None:
    positions = np.random.default_rng(seed).normal(size=(3, len(numbers), 3))
    together = bond_orders(np.array(numbers), positions)
    for geometry, orders in zip(positions, together, strict=True):
        for i, a in enumerate(numbers):
            for j, b in enumerate(numbers):
                expected = one_pair(a, b, float(np.linalg.norm(geometry[i] - geometry[j]))) if i != j else 0
                assert orders[i, j] == expected


def test_qm9_obeys_its_own_rules(data_folder: Path) -> None:
    with np.load(data_folder / "qm9_val.npz") as data:
        ends = np.cumsum(data["n_atoms"])[:300]
        parts = (
            np.split(data["numbers"][: ends[-1]], ends[:-1]),
            np.split(data["positions"][: ends[-1]], ends[:-1]),
        )
    good = [allowed(z, valences(bond_orders(z, x))) for z, x in zip(*parts, strict=True)]
    assert np.concatenate(good).mean() > 0.98
    assert np.mean([molecule.all() for molecule in good]) > 0.93


def test_elements_outside_the_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="elements"):
        bond_orders(np.array([16, 1]), np.zeros((2, 3)))
