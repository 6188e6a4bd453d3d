"""Exchange and correlation on a grid, in blocks of neighbouring points and of the functions that reach them.

PySCF's own integrator multiplies sparse matrices at the speed of its bundled BLAS and evaluates the basis
functions in every cycle. Here a block holds only the functions that are not negligible in it, densely;
densities come from the occupied orbitals; and the products are NumPy's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyscf import gto
from pyscf.dft import gen_grid, numint
from pyscf.gto.eval_gto import eval_gto

from prerelax.engines.pyscf.settings import ScfSettings

BLOCK_POINTS = 640
NEGLIGIBLE_VALUE = 1e-9
"""basis functions smaller than this everywhere in a block are left out of it"""
NEGLIGIBLE_WEIGHT = 1e-14
SECOND_DERIVATIVE = {(0, 0): 4, (0, 1): 5, (0, 2): 6, (1, 1): 7, (1, 2): 8, (2, 2): 9}
"""component of PySCF's GTOval_deriv2: value, x, y, z, xx, xy, xz, yy, yz, zz"""

Array = NDArray[np.float64]


PARTITIONS = {"becke": gen_grid.original_becke, "stratmann": gen_grid.stratmann}


def set_atomic_grids(grids: gen_grid.Grids, settings: ScfSettings, meta_gga: bool) -> None:
    """Give PySCF's grid the settings' number of points and partition of space."""
    grids.becke_scheme = PARTITIONS[settings.partition]
    grids.level = settings.meta_gga_grid_level if meta_gga else settings.grid_level
    radial = settings.meta_gga_grid_level if meta_gga else settings.radial_grid_level
    if radial != grids.level:
        mol = grids.mol
        grids.atom_grid = {
            mol.atom_symbol(atom): (
                int(gen_grid._default_rad(gto.charge(mol.atom_symbol(atom)), radial)),
                int(gen_grid._default_ang(gto.charge(mol.atom_symbol(atom)), grids.level)),
            )
            for atom in range(mol.natm)
        }


@dataclass
class Block:
    """Neighbouring points and the functions that are not negligible there."""

    coords: Array
    """[n_points, 3] bohr"""
    weights: Array
    """[n_points] bohr³"""
    mol: gto.Mole
    """with the block's shells only"""
    functions: NDArray[np.intp]
    """their places among all functions"""

    def evaluated(self, order: int) -> Array:
        """[n_components, n_functions, n_points]: values and all derivatives up to `order`."""
        values = eval_gto(self.mol, f"GTOval_{'cart' if self.mol.cart else 'sph'}_deriv{order}", self.coords)
        if order == 0:
            values = values[None]
        return np.ascontiguousarray(values.transpose(0, 2, 1))


class Grid:
    """A molecule's integration grid, cut into blocks."""

    def __init__(self, grids: gen_grid.Grids) -> None:
        mol = grids.mol
        important = np.abs(grids.weights) > NEGLIGIBLE_WEIGHT
        coords, weights = grids.coords[important], grids.weights[important]
        extents = _shell_extents(mol)
        blocks = [
            _block(mol, coords[points], weights[points], extents)
            for points in _clusters(coords, BLOCK_POINTS)
        ]
        self.blocks = [block for block in blocks if len(block.functions)]


def _clusters(coords: Array, size: int) -> list[NDArray[np.intp]]:
    """Points [n, 3] halved along the longest side until no cluster holds more than `size`."""
    open_clusters, done = [np.arange(len(coords))], []
    while open_clusters:
        points = open_clusters.pop()
        if len(points) <= size:
            done.append(points)
            continue
        inside = coords[points]
        axis = np.argmax(np.ptp(inside, axis=0))
        order = np.argpartition(inside[:, axis], len(points) // 2)
        open_clusters += [points[order[: len(points) // 2]], points[order[len(points) // 2 :]]]
    return done


def _shell_extents(mol: gto.Mole) -> Array:
    """[n_shells] bohr: where a shell's functions have fallen below NEGLIGIBLE_VALUE."""
    radii = np.linspace(0.0, 30.0, 601)
    extents = np.empty(mol.nbas)
    for shell in range(mol.nbas):
        exponentials = np.exp(-np.outer(radii**2, mol.bas_exp(shell)))
        contracted = np.abs(exponentials @ mol._libcint_ctr_coeff(shell)).max(axis=1)
        large = np.flatnonzero(contracted * radii ** mol.bas_angular(shell) > NEGLIGIBLE_VALUE)
        extents[shell] = radii[min(large[-1] + 1, len(radii) - 1)] if len(large) else 0.0
    return extents


def _block(mol: gto.Mole, coords: Array, weights: Array, extents: Array) -> Block:
    nearest = np.array([np.sqrt(((coords - atom) ** 2).sum(axis=1).min()) for atom in mol.atom_coords()])
    shells = np.flatnonzero(nearest[mol._bas[:, gto.ATOM_OF]] < extents)
    part = mol.copy(deep=False)
    part._bas = np.ascontiguousarray(mol._bas[shells])
    places = mol.ao_loc_nr()
    functions = [np.arange(places[shell], places[shell + 1]) for shell in shells]
    return Block(coords, weights, part, np.concatenate(functions) if functions else np.empty(0, np.intp))


def factors(density: Array) -> list[tuple[Array, Array]]:
    """For each spin [n_functions, n] orbitals and [n] signs: density = (orbitals · signs) orbitalsᵀ."""
    orbitals, occupations = getattr(density, "mo_coeff", None), getattr(density, "mo_occ", None)
    found = []
    for spin, matrix in enumerate(np.asarray(density).reshape(-1, *density.shape[-2:])):
        if orbitals is None or occupations is None:
            numbers, vectors = np.linalg.eigh(matrix)
        elif density.ndim == 2:
            numbers, vectors = np.asarray(occupations), np.asarray(orbitals)
        else:
            numbers, vectors = np.asarray(occupations[spin]), np.asarray(orbitals[spin])
        held = np.abs(numbers) > 1e-10
        found.append((vectors[:, held] * np.sqrt(np.abs(numbers[held])), np.sign(numbers[held])))
    return found


class Integrator(numint.NumInt):
    """Energy and potential matrix of a functional, and the gradient of its energy."""

    def integrate(self, grid: Grid, functional: str, density: Array) -> tuple[float, Array]:
        """Energy (Eh) and potential matrices [n_spins, n_functions, n_functions]."""
        kind = self._xc_type(functional)
        orbitals = factors(density)
        potential = np.zeros((len(orbitals), *density.shape[-2:]))
        energy = 0.0
        for block in grid.blocks:
            values = block.evaluated(0 if kind == "LDA" else 1)
            here = [(c[block.functions], signs) for c, signs in orbitals]
            amplitudes = [np.matmul(c.T, values) for c, _ in here]
            block_energy, weighted = self._weighted(kind, functional, block, amplitudes, here)
            energy += block_energy
            for spin, w in enumerate(weighted):
                matrix = _potential(values, w)
                potential[spin][np.ix_(block.functions, block.functions)] += matrix + matrix.T
        return energy, potential

    def _weighted(
        self,
        kind: str,
        functional: str,
        block: Block,
        amplitudes: list[Array],
        orbitals: list[tuple[Array, Array]],
    ) -> tuple[float, Array]:
        """The block's energy, and weight times derivative for each spin and density [n_spins, n_rho, n]."""
        rho = np.array(
            [_densities(kind, a, signs) for a, (_, signs) in zip(amplitudes, orbitals, strict=True)]
        )
        spin = len(rho) - 1
        per_particle, derivatives = self.eval_xc_eff(
            functional, rho if spin else rho[0], deriv=1, xctype=kind, spin=spin
        )[:2]
        energy = float(np.dot(rho[:, 0].sum(axis=0) * block.weights, per_particle))
        weighted: Array = np.asarray(derivatives).reshape(rho.shape) * block.weights
        return energy, weighted

    def gradient(self, grid: Grid, functional: str, density: Array) -> tuple[float, Array]:
        """Energy (Eh), and its gradient by each function's centre [n_functions, 3], the grid at rest."""
        kind = self._xc_type(functional)
        orbitals = factors(density)
        gradient = np.zeros((density.shape[-1], 3))
        energy = 0.0
        for block in grid.blocks:
            values = block.evaluated(1 if kind == "LDA" else 2)
            here = [(c[block.functions], signs) for c, signs in orbitals]
            amplitudes = [np.matmul(c.T, values[:1] if kind == "LDA" else values[:4]) for c, _ in here]
            block_energy, weighted = self._weighted(kind, functional, block, amplitudes, here)
            energy += block_energy
            for (c, signs), a, w in zip(here, amplitudes, weighted, strict=True):
                gradient[block.functions] -= 2 * _gradient(kind, values, c * signs, a, w)
        return energy, gradient


def _densities(kind: str, amplitudes: Array, signs: Array) -> Array:
    """[n_rho, n_points]: density, its gradient (GGA), kinetic energy density (meta-GGA)."""
    signed = amplitudes[0] * signs[:, None]
    rho: Array
    if kind == "LDA":
        rho = np.einsum("in,in->n", signed, amplitudes[0])[None]
        return rho
    rho = np.einsum("in,cin->cn", signed, amplitudes)
    rho[1:] *= 2
    if kind == "GGA":
        return rho
    tau = 0.5 * np.einsum("i,cin,cin->n", signs, amplitudes[1:], amplitudes[1:])
    return np.vstack([rho, tau])


def _potential(values: Array, weighted: Array) -> Array:
    """Half of the block's potential matrix, up to its transpose."""
    summed = values[0] * (0.5 * weighted[0])
    for component in range(1, min(len(weighted), 4)):
        summed += values[component] * weighted[component]
    matrix: Array = values[0] @ summed.T
    if len(weighted) == 5:
        for component in (1, 2, 3):
            matrix += (values[component] * (0.25 * weighted[4])) @ values[component].T
    return matrix


def _gradient(kind: str, values: Array, orbitals: Array, amplitudes: Array, weighted: Array) -> Array:
    """[n_functions, 3]: Σ over points of ∂μ (v D φ)μ, the potential's own derivatives shared out."""
    is_lda = kind == "LDA"
    held = amplitudes[0] * weighted[0] if is_lda else np.einsum("cn,cin->in", weighted[:4], amplitudes)
    result: Array = np.einsum("xmn,mn->mx", values[1:4], orbitals @ held)
    if is_lda:
        return result
    for c in range(3):
        amplitude = amplitudes[0] * weighted[1 + c]
        if kind == "MGGA":
            amplitude = amplitude + 0.5 * weighted[4] * amplitudes[1 + c]
        second = orbitals @ amplitude
        for x in range(3):
            result[:, x] += np.einsum("mn,mn->m", values[SECOND_DERIVATIVE[min(x, c), max(x, c)]], second)
    return result
