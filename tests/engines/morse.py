"""Morse bonds between all atoms, as between those of H2; charge and unpaired electrons cost energy."""

import numpy as np

DEPTH_EV, STEEPNESS, LENGTH_ANG = 4.75, 1.94, 0.741


def morse(x, charge=0, mult=1, by_charge=12.0, by_spin=2.0):
    """Energy in eV and forces [n, 3] in eV/Å at the positions `x` [n, 3] in Å."""
    vectors, others = x[:, None] - x, 1 - np.eye(len(x))
    lengths = np.linalg.norm(vectors, axis=-1) + np.eye(len(x))
    decay = np.exp(-STEEPNESS * (lengths - LENGTH_ANG))
    pairs = DEPTH_EV * ((1 - decay) ** 2 - 1) * others
    slopes = 2 * DEPTH_EV * STEEPNESS * (1 - decay) * decay * others
    forces = -np.sum(slopes[..., None] * vectors / lengths[..., None], axis=1)
    return pairs.sum() / 2 + by_charge * (charge + charge**2) / 2 + by_spin * (mult - 1), forces
