"""The first Hessian of a relaxation, from a level below the target, and what was used in its place.

Finite differences of a cheap level's gradients at the start geometry, or the model of Lindh et al., Chem.
Phys. Lett. 1995, 241, 423, which needs the geometry alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from ase.units import Bohr, Hartree
from numpy.typing import NDArray

from prerelax.engines import EngineError
from prerelax.relaxation.cheap_surface import MODEL, CheapSurface
from prerelax.relaxation.internal_coordinates import (
    bend_derivative,
    linear_bend_derivatives,
    stretch_derivative,
    torsion_derivative,
)

DISPLACEMENT_ANG = 0.005
"""of each coordinate, in the finite differences"""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class FirstHessian:
    """A Hessian and where it comes from."""

    matrix: Matrix
    """[3 n_atoms, 3 n_atoms] eV/Å², symmetric; as it is, i.e. maybe with negative eigenvalues"""
    source: str
    """the name of a cheap level"""
    note: str = ""
    """why it is not the one that was asked for"""


def first_hessian(
    numbers: NDArray[np.integer], positions: NDArray[np.float64], surface: CheapSurface | None
) -> FirstHessian:
    """The Hessian of `surface` at a geometry (Å); the model Hessian without one, or where it fails."""
    if surface is None:
        return FirstHessian(model_hessian(numbers, positions), MODEL)
    try:
        matrix = surface.own_hessian(np.ravel(positions))
        if matrix is None:
            matrix = finite_difference_hessian(lambda x: surface(x)[1], np.ravel(positions), central=False)
        return FirstHessian(matrix, surface.name)
    except EngineError as error:
        note = f"first Hessian: {MODEL}, for {surface.name} failed ({error.message})"
        return FirstHessian(model_hessian(numbers, positions), MODEL, note)


def finite_difference_hessian(
    gradient: Callable[[NDArray[np.float64]], NDArray[np.float64]], x: NDArray[np.float64], central: bool
) -> Matrix:
    """[3 n_atoms, 3 n_atoms] eV/Å² from 6 n_atoms gradients where `central`, else from 3 n_atoms + 1.

    `gradient` takes positions [3 n_atoms] in Å. Raises EngineError where it does, or gives no numbers.
    """
    origin = np.zeros(0) if central else gradient(x)
    rows = []
    for i in range(x.size):
        shift = np.zeros(x.size)
        shift[i] = DISPLACEMENT_ANG
        ahead = gradient(x + shift)
        rows.append((ahead - gradient(x - shift)) / 2 if central else ahead - origin)
    matrix = np.array(rows) / DISPLACEMENT_ANG
    if not np.all(np.isfinite(matrix)):
        raise EngineError("scf_failed", "its gradients are not numbers")
    return (matrix + matrix.T) / 2


# Lindh's parameters by row of the periodic table; rows beyond the third as the third.
_ALPHA_PER_BOHR2 = np.array([[1.0000, 0.3949, 0.3949], [0.3949, 0.2800, 0.2800], [0.3949, 0.2800, 0.2800]])
_REFERENCE_BOHR = np.array([[1.35, 2.10, 2.53], [2.10, 2.87, 3.40], [2.53, 3.40, 3.40]])
_STRETCH, _BEND, _TORSION = 0.45, 0.15, 0.005
"""Hartree per bohr², per rad², per rad²"""
_NEGLIGIBLE = 1e-3
"""Products of the distance functions below it are left out."""
_AT_ONCE = 2000
"""Coordinates whose derivatives are held in memory."""


def model_hessian(numbers: NDArray[np.integer], positions: NDArray[np.float64]) -> Matrix:
    """Lindh's model [3 n_atoms, 3 n_atoms] in eV/Å²: positive semidefinite, for any element and geometry.

    Force constants fall off with distance and need no bonds; `positions` [n_atoms, 3] Å.
    """
    n = len(numbers)
    rho = _distance_functions(numbers, positions)
    near = [np.flatnonzero(row > _NEGLIGIBLE).tolist() for row in rho]
    hessian = np.zeros((3 * n, 3 * n))
    pairs = [(i, j) for i in range(n) for j in near[i] if i < j]
    _add(hessian, pairs, rho, _STRETCH / Bohr**2, positions, stretch_derivative)
    bends = [(i, j, k) for j in range(n) for i in near[j] for k in near[j] if i < k]
    _add(hessian, bends, rho, _BEND, positions, bend_derivative)
    _add_linear_bends(hessian, bends, rho, positions)
    torsions = [
        (i, j, k, last)
        for j, k in pairs
        for i in near[j]
        for last in near[k]
        if i != k and last != j and i != last
    ]
    _add(hessian, torsions, rho, _TORSION, positions, torsion_derivative)
    return hessian


def _distance_functions(numbers: NDArray[np.integer], positions: NDArray[np.float64]) -> Matrix:
    """[n_atoms, n_atoms]: 1 at a typical bond length, falling off as a Gaussian; 0 on the diagonal."""
    row = np.searchsorted([atomic_numbers["He"], atomic_numbers["Ne"]], numbers)
    alpha, reference = _ALPHA_PER_BOHR2[row[:, None], row], _REFERENCE_BOHR[row[:, None], row]
    squares = np.sum((positions[:, None] - positions) ** 2, axis=-1) / Bohr**2
    rho: Matrix = np.exp(alpha * (reference**2 - squares))
    np.fill_diagonal(rho, 0.0)
    return rho


def _add(
    hessian: Matrix,
    coordinates: Sequence[tuple[int, ...]],
    rho: Matrix,
    constant: float,
    positions: Matrix,
    derivative: Callable[..., Matrix],
) -> None:
    """Add k·b·bᵀ for internal coordinates of these atoms, k = `constant` in Hartree × `rho` of neighbours."""
    if not coordinates:
        return
    atoms = np.array(coordinates)
    products = np.prod(rho[atoms[:, :-1], atoms[:, 1:]], axis=1)
    if atoms.shape[1] > 2:
        atoms, products = atoms[products > _NEGLIGIBLE], products[products > _NEGLIGIBLE]
    for begin in range(0, len(atoms), _AT_ONCE):
        chosen = atoms[begin : begin + _AT_ONCE]
        rows = np.zeros((len(chosen), len(positions), 3))
        rows[np.arange(len(chosen))[:, None], chosen] = derivative(*np.moveaxis(positions[chosen], 1, 0))
        flat = rows.reshape(len(chosen), -1)
        hessian += flat.T @ (constant * Hartree * products[begin : begin + _AT_ONCE, None] * flat)


def _add_linear_bends(
    hessian: Matrix, bends: Sequence[tuple[int, int, int]], rho: Matrix, positions: Matrix
) -> None:
    """Angles that have no derivative bend in two planes."""
    for i, j, k in bends:
        product = rho[i, j] * rho[j, k]
        points = positions[[i, j, k]]
        if product > _NEGLIGIBLE and _is_linear(*points):
            places = (3 * np.array([i, j, k])[:, None] + np.arange(3)).ravel()
            for derivative in linear_bend_derivatives(*points):
                force = _BEND * product * Hartree
                hessian[np.ix_(places, places)] += force * np.outer(derivative, derivative)


def _is_linear(a: Matrix, b: Matrix, c: Matrix) -> bool:
    """Whether a and c lie on opposite sides of b; on the same side nothing bends."""
    u, v = a - b, c - b
    return float(u @ v) < 0 and not np.any(bend_derivative(a, b, c))
