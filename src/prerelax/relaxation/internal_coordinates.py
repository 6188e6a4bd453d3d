"""Stretches, bends and torsions of a geometry and their derivatives by the atoms' positions.

Points are [..., 3] in Å, many coordinates at once. Wilson, Decius and Cross, Molecular Vibrations (1955),
chapter 4.
"""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def stretch_derivative(a: Vector, b: Vector) -> Vector:
    """[..., 2, 3] derivatives of the distance of two points by their positions (no unit)."""
    unit = (a - b) / _length(a - b)
    return np.stack([unit, -unit], axis=-2)


def bend_derivative(a: Vector, b: Vector, c: Vector) -> Vector:
    """[..., 3, 3] derivatives in rad/Å of the angle at b; zero for a linear angle, which has none."""
    u, v = a - b, c - b
    r_u, r_v = _length(u), _length(v)
    u, v = u / r_u, v / r_v
    cosine = _dot(u, v)
    sine = np.sqrt(np.maximum(1.0 - cosine**2, 0.0))
    linear = sine < 1e-3
    sine = np.where(linear, 1.0, sine)
    d_a = (cosine * u - v) / (r_u * sine)
    d_c = (cosine * v - u) / (r_v * sine)
    derivative = np.stack([d_a, -d_a - d_c, d_c], axis=-2)
    result: Vector = np.where(linear[..., None], 0.0, derivative)
    return result


def cosine_derivative(a: Vector, b: Vector, c: Vector) -> Vector:
    """[..., 3, 3] derivatives in 1/Å of the cosine of the angle at b; zero for a linear angle, and smooth."""
    u, v = a - b, c - b
    r_u, r_v = _length(u), _length(v)
    u, v = u / r_u, v / r_v
    cosine = _dot(u, v)
    d_a, d_c = (v - cosine * u) / r_u, (u - cosine * v) / r_v
    return np.stack([d_a, -d_a - d_c, d_c], axis=-2)


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
    """[..., 4, 3] derivatives in rad/Å of the dihedral angle a-b-c-d; zero where three are in a line."""
    f, g, h = a - b, b - c, d - c
    m, n = _cross(f, g), _cross(h, g)
    m2, n2, r_g = _dot(m, m), _dot(n, n), _length(g)
    # sines of the two bend angles: below 0.03 the dihedral angle means nothing
    linear = (m2 < 1e-3 * _dot(f, f) * _dot(g, g)) | (n2 < 1e-3 * _dot(h, h) * _dot(g, g))
    m2, n2 = np.where(linear, 1.0, m2), np.where(linear, 1.0, n2)
    d_a, d_d = -r_g / m2 * m, r_g / n2 * n
    along_f, along_h = _dot(f, g) / (m2 * r_g) * m, _dot(h, g) / (n2 * r_g) * n
    derivative = np.stack([d_a, -d_a + along_f - along_h, -d_d - along_f + along_h, d_d], axis=-2)
    result: Vector = np.where(linear[..., None], 0.0, derivative)
    return result


def _dot(a: Vector, b: Vector) -> Vector:
    """[..., 1]"""
    products: Vector = np.sum(a * b, axis=-1, keepdims=True)
    return products


def _length(a: Vector) -> Vector:
    """[..., 1]"""
    return np.sqrt(_dot(a, a))


def _cross(a: Vector, b: Vector) -> Vector:
    """np.cross, several times as fast."""
    (ax, ay, az), (bx, by, bz) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
