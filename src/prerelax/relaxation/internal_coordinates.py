"""Stretches, bends and torsions of a geometry and their derivatives by the atoms' positions.

Wilson, Decius and Cross, Molecular Vibrations (1955), chapter 4.
"""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def stretch_derivative(a: Vector, b: Vector) -> Vector:
    """[2, 3] derivatives of the distance of two points by their positions (no unit)."""
    unit = (a - b) / np.linalg.norm(a - b)
    return np.array([unit, -unit])


def bend_derivative(a: Vector, b: Vector, c: Vector) -> Vector:
    """[3, 3] derivatives in rad/Å of the angle at b; zero for a linear angle, which has none."""
    u, v = a - b, c - b
    r_u, r_v = np.linalg.norm(u), np.linalg.norm(v)
    u, v = u / r_u, v / r_v
    cosine = float(u @ v)
    sine = np.sqrt(max(1.0 - cosine**2, 0.0))
    if sine < 1e-3:
        return np.zeros((3, 3))
    d_a = (cosine * u - v) / (r_u * sine)
    d_c = (cosine * v - u) / (r_v * sine)
    return np.array([d_a, -d_a - d_c, d_c])


def linear_bend_derivatives(a: Vector, b: Vector, c: Vector) -> Vector:
    """[2, 3, 3] derivatives in rad/Å of the two bends of a linear angle at b, in orthogonal planes."""
    u, v = a - b, c - b
    r_u, r_v = np.linalg.norm(u), np.linalg.norm(v)
    axis = u / r_u - v / r_v
    axis /= np.linalg.norm(axis)
    across = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    across /= np.linalg.norm(across)
    planes = np.array([across, np.cross(axis, across)])
    d_a, d_c = planes / r_u, planes / r_v
    return np.stack([d_a, -d_a - d_c, d_c], axis=1)


def torsion_derivative(a: Vector, b: Vector, c: Vector, d: Vector) -> Vector:
    """[4, 3] derivatives in rad/Å of the dihedral angle a-b-c-d; zero where three of them are in a line."""
    f, g, h = a - b, b - c, d - c
    m, n = np.cross(f, g), np.cross(h, g)
    m2, n2, r_g = m @ m, n @ n, np.linalg.norm(g)
    # sines of the two bend angles: below 0.03 the dihedral angle means nothing
    if m2 < 1e-3 * (f @ f) * (g @ g) or n2 < 1e-3 * (h @ h) * (g @ g):
        return np.zeros((4, 3))
    d_a, d_d = -r_g / m2 * m, r_g / n2 * n
    along_f, along_h = (f @ g) / (m2 * r_g) * m, (h @ g) / (n2 * r_g) * n
    return np.array([d_a, -d_a + along_f - along_h, -d_d - along_f + along_h, d_d])
