"""How far two geometries of one molecule are from each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rdkit import Chem

MAX_SYMMETRY_MATCHES = 2000
"""Atom mappings tried before the symmetry-aware RMSD settles for the best so far."""


def rmsd(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Root-mean-square distance in Å of two geometries [n_atoms, 3] after optimal rotation and translation.

    Unweighted, proper rotations only (Kabsch 1976), as both papers align.
    """
    return float(rmsds(np.asarray(a, dtype=float)[None], np.asarray(b, dtype=float)[None])[0])


def symmetric_rmsd(molecule: Chem.Mol, a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """The smallest `rmsd` over the molecule's graph automorphisms, i.e. with equivalent atoms matched.

    `molecule` has all hydrogens and the atom order of both geometries [n_atoms, 3] Å. At most
    MAX_SYMMETRY_MATCHES automorphisms are tried; the identity is always among them.
    """
    mappings = molecule.GetSubstructMatches(molecule, uniquify=False, maxMatches=MAX_SYMMETRY_MATCHES)
    orders = np.array([range(len(a)), *mappings], dtype=int)
    return float(rmsds(np.asarray(a, dtype=float)[orders], np.asarray(b, dtype=float)[None]).min())


def superimposed(
    mobile: NDArray[np.floating], fixed: NDArray[np.floating], by: Sequence[int] | slice = slice(None)
) -> NDArray[np.float64]:
    """`mobile` [n_atoms, 3] Å moved and turned, never mirrored, to the least RMSD from `fixed` (Kabsch).

    The RMSD is that of the atoms `by`; default: all.
    """
    mobile, fixed = np.asarray(mobile, dtype=float), np.asarray(fixed, dtype=float)
    centre = fixed[by].mean(axis=0)
    mobile = mobile - mobile[by].mean(axis=0)
    left, _, right = np.linalg.svd(mobile[by].T @ (fixed[by] - centre))
    left[:, 2] *= np.sign(np.linalg.det(left @ right))
    moved: NDArray[np.float64] = mobile @ left @ right + centre
    return moved


def rmsds(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """`rmsd` [k] of geometries [k, n_atoms, 3] to as many others, or to one [1, n_atoms, 3]."""
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    covariance = np.swapaxes(a, 1, 2) @ b
    overlap = np.linalg.svd(covariance, compute_uv=False)
    overlap[:, 2] *= np.sign(np.linalg.det(covariance)) + (np.linalg.det(covariance) == 0)
    squares = (a**2).sum(axis=(1, 2)) + (b**2).sum(axis=(1, 2)) - 2 * overlap.sum(axis=1)
    distances: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0) / a.shape[1])
    return distances
