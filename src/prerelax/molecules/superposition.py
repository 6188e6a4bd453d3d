"""How far two geometries of one molecule are from each other."""

from __future__ import annotations

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
    return float(_rmsds(np.asarray(a, dtype=float)[None], np.asarray(b, dtype=float))[0])


def symmetric_rmsd(molecule: Chem.Mol, a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """The smallest `rmsd` over the molecule's graph automorphisms, i.e. with equivalent atoms matched.

    `molecule` has all hydrogens and the atom order of both geometries [n_atoms, 3] Å. At most
    MAX_SYMMETRY_MATCHES automorphisms are tried; the identity is always among them.
    """
    mappings = molecule.GetSubstructMatches(molecule, uniquify=False, maxMatches=MAX_SYMMETRY_MATCHES)
    orders = np.array([range(len(a)), *mappings], dtype=int)
    return float(_rmsds(np.asarray(a, dtype=float)[orders], np.asarray(b, dtype=float)).min())


def superimposed(mobile: NDArray[np.floating], fixed: NDArray[np.floating]) -> NDArray[np.float64]:
    """`mobile` [n_atoms, 3] Å moved and turned, never mirrored, to the least RMSD from `fixed` (Kabsch)."""
    mobile, fixed = np.asarray(mobile, dtype=float), np.asarray(fixed, dtype=float)
    centre = fixed.mean(axis=0)
    mobile = mobile - mobile.mean(axis=0)
    left, _, right = np.linalg.svd(mobile.T @ (fixed - centre))
    left[:, 2] *= np.sign(np.linalg.det(left @ right))
    moved: NDArray[np.float64] = mobile @ left @ right + centre
    return moved


def _rmsds(many: NDArray[np.float64], one: NDArray[np.float64]) -> NDArray[np.float64]:
    """RMSD [k] of geometries [k, n_atoms, 3] to one [n_atoms, 3]."""
    many = many - many.mean(axis=1, keepdims=True)
    one = one - one.mean(axis=0)
    covariance = np.swapaxes(many, 1, 2) @ one
    overlap = np.linalg.svd(covariance, compute_uv=False)
    overlap[:, 2] *= np.sign(np.linalg.det(covariance)) + (np.linalg.det(covariance) == 0)
    squares = (many**2).sum(axis=(1, 2)) + (one**2).sum() - 2 * overlap.sum(axis=1)
    distances: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0) / len(one))
    return distances
