"""MMFF94 as published for MoreRed's baseline: Open Babel's force field and optimizer (extra `openbabel`).

O'Boyle et al., J. Cheminf. 2011, 3, 33. Bonds and their orders are perceived from the geometry,
however distorted it is. RDKit's MMFF94 is given the molecule's own graph instead.
"""

import numpy as np
from numpy.typing import NDArray

from prerelax.molecules.status import Status

ITERATIONS = 2500
"""where no number is asked for: obminimize's default"""


def minimised_by_open_babel(
    numbers: NDArray[np.integer], positions: NDArray[np.floating], max_iterations: int | None
) -> tuple[Status, str, NDArray[np.float64]]:
    """Status, message and geometry [n_atoms, 3] Å after conjugate gradients with MMFF94.

    `positions` [n_atoms, 3] Å are returned unchanged if Open Babel is missing or has no types for the atoms.
    """
    try:
        from openbabel import openbabel
    except ImportError:
        message = "Open Babel is not installed; pip install 'prerelax[openbabel]'"
        return "resource_error", message, np.asarray(positions, dtype=float)
    openbabel.obErrorLog.SetOutputLevel(0)
    mol = openbabel.OBMol()
    mol.BeginModify()
    for number, (x, y, z) in zip(numbers.tolist(), positions.tolist(), strict=True):
        atom = mol.NewAtom()
        atom.SetAtomicNum(number)
        atom.SetVector(x, y, z)
    mol.EndModify()
    mol.ConnectTheDots()
    mol.PerceiveBondOrders()
    field = openbabel.OBForceField.FindForceField("MMFF94")
    if field is None or not field.Setup(mol):
        message = "Open Babel's MMFF94 has no types for the bonds that it perceives in this geometry"
        return "forcefield_unavailable", message, np.asarray(positions, dtype=float)
    limit = max_iterations or ITERATIONS
    # One more than are taken: Open Babel calls the last of its steps converged.
    field.ConjugateGradientsInitialize(limit + 1, 1e-7)
    goes_on = field.ConjugateGradientsTakeNSteps(limit)
    field.GetCoordinates(mol)
    moved = [(atom.GetX(), atom.GetY(), atom.GetZ()) for atom in openbabel.OBMolAtomIter(mol)]
    if not np.isfinite(moved).all():
        return (
            "unknown_error",
            "Open Babel's MMFF94 ends in coordinates that are not finite",
            np.asarray(positions),
        )
    if goes_on:
        return "not_converged", f"MMFF94 is not converged after {limit} iterations", np.array(moved)
    return "ok", "", np.array(moved)
