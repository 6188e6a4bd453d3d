"""Lindh's model Hessian: semidefinite, blind to rigid motion, finite for molecules in a line."""

import numpy as np
import pytest
from ase.build import molecule

from prerelax.relaxation.first_hessian import model_hessian
from prerelax.relaxation.preconditioned import internal_space


@pytest.mark.parametrize("name", ["CO2", "C2H2", "HCN", "CH3CN", "H2", "H2O", "CH3CH2OH", "C6H6"])
def test_every_internal_motion_is_stiff_and_no_rigid_one(name: str) -> None:
    atoms = molecule(name)
    hessian = model_hessian(atoms.numbers, atoms.positions)
    space = internal_space(atoms.positions)
    assert np.allclose(hessian, hessian.T)
    assert np.linalg.eigvalsh(space.T @ hessian @ space).min() > 0.01
    assert np.abs(hessian - space @ space.T @ hessian @ space @ space.T).max() < 1e-9


def test_a_rotated_molecule_has_the_rotated_hessian() -> None:
    atoms = molecule("CH3CH2OH")
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn = np.kron(np.eye(len(atoms)), rotation)
    turned = model_hessian(atoms.numbers, atoms.positions @ rotation.T)
    np.testing.assert_allclose(
        turned, turn @ model_hessian(atoms.numbers, atoms.positions) @ turn.T, atol=1e-8
    )
