"""What a row says of a relaxation that reached its limit of steps: what is missed, and what to do."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from prerelax.relaxation.ahead import Ahead, unmet
from prerelax.relaxation.optimizers import Evaluation
from prerelax.relaxation.settings import Relaxation

APART_ANG = 6.0
"""Atoms of one molecule have others nearer than that."""


def why_not_converged(
    relaxation: Relaxation, path: Sequence[Evaluation], end: Evaluation, ahead: Ahead | None
) -> str:
    """One sentence on this path of gradients.

    `end` has the forces along which the molecule may move; `ahead` is what is expected from there.
    """
    lowest = min(range(len(path)), key=lambda place: path[place].energy_ev) + 1
    last = ", ".join(f"{evaluation.fmax_ev_ang:.2g}" for evaluation in path[-6:])
    return (
        f"{_missed(relaxation, end, ahead)} when max_steps ({relaxation.max_steps}) was reached; the largest "
        f"forces of the last gradients were {last} eV/Å, the energy was lowest at gradient {lowest} of "
        f"{len(path)}; {_advice(path[0], end)}"
    )


def _missed(relaxation: Relaxation, end: Evaluation, ahead: Ahead | None) -> str:
    """What was asked and how far the end is from it."""
    if relaxation.criteria is None:
        left = None if ahead is None else ahead.energy_left_kcal_mol
        expected = "" if left is None else f" and {left:.2g} kcal/mol are left to fall"
        return f"fmax is {end.fmax_ev_ang:.3g} eV/Å (asked: {relaxation.fmax_ev_ang:g}){expected}"
    missed = unmet(relaxation.criteria, -end.forces.ravel(), ahead)
    return f"not {relaxation.convergence or 'normal'}: {', '.join(missed) or 'still near a saddle point'}"


def _advice(start: Evaluation, end: Evaluation) -> str:
    n_pieces = _n_pieces(end.positions)
    if n_pieces > _n_pieces(start.positions):
        return (
            f"it fell into {n_pieces} pieces more than {APART_ANG:g} Å apart and may have no minimum at this "
            "level: check charge and multiplicity"
        )
    return "raise max_steps or begin nearer to the minimum"


def _n_pieces(positions: NDArray[np.float64]) -> int:
    near = np.linalg.norm(positions[:, None] - positions, axis=-1) < APART_ANG
    return int(connected_components(near, directed=False)[0])
