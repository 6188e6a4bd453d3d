"""Scaling of a Hessian's force constants by the kind of internal coordinate.

Pulay, Fogarasi, Pongor, Boggs and Vargha, J. Am. Chem. Soc. 1983, 105, 7037: the force constant of two
coordinates is multiplied by the root of both factors. Redundant coordinates as Peng, Ayala, Schlegel and
Frisch, J. Comput. Chem. 1996, 17, 49.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from prerelax.molecules.topology import bonds_from_geometry
from prerelax.relaxation.internal_coordinates import (
    bend_derivative,
    linear_bend_derivatives,
    stretch_derivative,
    torsion_derivative,
)

Matrix = NDArray[np.float64]

DFT_FACTORS: dict[str, dict[str, float]] = {
    "gfn1": {"stretch X-H": 1.02, "stretch": 1.08, "bend X-H": 1.12, "bend": 1.12},
    "gfn2": {"stretch X-H": 1.03, "stretch": 1.10, "bend X-H": 1.13, "bend": 1.13},
}
"""B3LYP/6-31G(2df,p) over GFN-xTB; other coordinates keep their constants. See docs/guide/optimizers.md."""
LINEAR_COSINE = -0.985


def scaled_force_constants(
    hessian: Matrix, numbers: NDArray[np.integer], positions: Matrix, factors: Mapping[str, float]
) -> Matrix:
    """[3 n_atoms, 3 n_atoms] the Hessian with each internal force constant multiplied by its factors.

    `factors` by kind of coordinate (`kinds_and_derivatives`). What internal coordinates of bonded atoms do
    not describe, such as the motion of fragments, stays as it was. `positions` [n_atoms, 3] Å.
    """
    kinds, derivatives = kinds_and_derivatives(numbers, positions)
    if not kinds:
        return hessian
    inverse = np.linalg.pinv(derivatives, rcond=1e-4)
    constants = inverse.T @ hessian @ inverse
    roots = np.sqrt([factors.get(kind, 1.0) for kind in kinds])
    change: Matrix = derivatives.T @ (constants * (np.outer(roots, roots) - 1.0)) @ derivatives
    return hessian + change


def kinds_and_derivatives(numbers: NDArray[np.integer], positions: Matrix) -> tuple[list[str], Matrix]:
    """Kinds of a geometry's redundant internal coordinates, and their derivatives [n, 3 n_atoms].

    Kinds are `stretch`, `stretch X-H`, `bend`, `bend X-H` (an outer atom is hydrogen), `linear bend` and
    `torsion`, over the bonds of the geometry; Å and rad.
    """
    bonded = bonds_from_geometry(numbers, positions)
    near = [np.flatnonzero(row).tolist() for row in bonded]
    n = len(numbers)
    pairs = [(i, j) for i in range(n) for j in near[i] if i < j]
    bends = [(i, j, k) for j in range(n) for i in near[j] for k in near[j] if i < k]
    straight = [bend for bend in bends if _cosine(positions, bend) < LINEAR_COSINE]
    bent = sorted(set(bends) - set(straight))
    torsions = [
        (i, j, k, last)
        for j, k in pairs
        for i in near[j]
        for last in near[k]
        if i != k and last != j and i != last
    ]
    kinds = [_with_hydrogen("stretch", numbers, pair) for pair in pairs]
    kinds += [_with_hydrogen("bend", numbers, (i, k)) for i, _, k in bent]
    kinds += ["linear bend"] * (2 * len(straight)) + ["torsion"] * len(torsions)
    rows = [_rows(pairs, stretch_derivative, positions), _rows(bent, bend_derivative, positions)]
    for bend in straight:
        derivatives = linear_bend_derivatives(*positions[list(bend)])
        rows += [_spread([bend], derivative[None], n) for derivative in derivatives]
    rows.append(_rows(torsions, torsion_derivative, positions))
    return kinds, np.vstack(rows)


def _with_hydrogen(kind: str, numbers: NDArray[np.integer], outer: tuple[int, int]) -> str:
    return f"{kind} X-H" if min(numbers[list(outer)]) == 1 else kind


def _cosine(positions: Matrix, bend: tuple[int, int, int]) -> float:
    u, v = positions[bend[0]] - positions[bend[1]], positions[bend[2]] - positions[bend[1]]
    return float(u @ v / (np.linalg.norm(u) * np.linalg.norm(v)))


def _rows(
    coordinates: list[tuple[int, int]] | list[tuple[int, int, int]] | list[tuple[int, int, int, int]],
    derivative: Callable[..., Matrix],
    positions: Matrix,
) -> Matrix:
    if not coordinates:
        return np.zeros((0, positions.size))
    atoms = np.array(coordinates)
    return _spread(
        coordinates, derivative(*(positions[atoms[:, i]] for i in range(atoms.shape[1]))), len(positions)
    )


def _spread(coordinates: object, derivatives: Matrix, n_atoms: int) -> Matrix:
    """[n, 3 n_atoms] from the derivatives [n, n_involved, 3] by the atoms involved."""
    atoms = np.array(coordinates)
    rows = np.zeros((len(atoms), n_atoms, 3))
    for place in range(atoms.shape[1]):
        rows[np.arange(len(atoms)), atoms[:, place]] += derivatives[:, place]
    return rows.reshape(len(atoms), -1)
