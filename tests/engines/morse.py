"""Surfaces of stand-ins: Morse bonds between all atoms, as between those of H2; springs of molecules.

Charge and unpaired electrons cost energy.
"""

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


RADIUS_ANG = {"H": 0.31, "C": 0.76, "N": 0.71, "O": 0.66}
STIFFNESS, ANGLE = 50.0, 105.0


def springs(symbols, x, charge=0, mult=1):
    """As `morse`, but of molecules: springs along bonds, and between atoms that are bonded to one."""
    radii = np.array([RADIUS_ANG[each] for each in symbols])
    lengths = np.linalg.norm(x[:, None] - x, axis=-1)
    rest, bonds = radii[:, None] + radii, ~np.eye(len(x), dtype=bool)
    bonds &= lengths < 1.4 * rest
    energy, forces = 12.0 * (charge + charge**2) / 2 + 2.0 * (mult - 1), np.zeros_like(x)
    for i in range(len(x)):
        for j in range(i):
            between = np.flatnonzero(bonds[i] & bonds[j])
            if not bonds[i, j] and not len(between):
                continue
            k, length = STIFFNESS, rest[i, j]
            if not bonds[i, j]:
                a, b = rest[i, between[0]], rest[j, between[0]]
                k, length = 5.0, np.sqrt(a**2 + b**2 - 2 * a * b * np.cos(np.radians(ANGLE)))
            stretch = lengths[i, j] - length
            energy += k * stretch**2 / 2
            pull = k * stretch * (x[i] - x[j]) / lengths[i, j]
            forces[i] -= pull
            forces[j] += pull
    return energy, forces
