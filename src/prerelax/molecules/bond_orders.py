"""Bond orders from distances alone, by the rules of EDM's code, for many geometries at once.

Two atoms have a single bond when nearer than the usual single-bond length plus 10 pm, a double bond when
moreover nearer than the double-bond length plus 5 pm, a triple bond with plus 3 pm (Hoogeboom et al., ICML
2022, and its published code; lengths as tabulated there). An atom's valence is the sum over its bonds.
"""

import numpy as np
from numpy.typing import NDArray

SINGLE_PM = {
    (1, 1): 74, (1, 6): 109, (1, 7): 101, (1, 8): 96, (1, 9): 92,
    (6, 6): 154, (6, 7): 147, (6, 8): 143, (6, 9): 135,
    (7, 7): 145, (7, 8): 140, (7, 9): 136,
    (8, 8): 148, (8, 9): 142, (9, 9): 142,
}  # fmt: skip
DOUBLE_PM = {(6, 6): 134, (6, 7): 129, (6, 8): 120, (7, 7): 125, (7, 8): 121, (8, 8): 121}
TRIPLE_PM = {(6, 6): 120, (6, 7): 116, (6, 8): 113, (7, 7): 110}
MARGINS_PM = (10, 5, 3)
VALENCES = {1: 1, 6: 4, 7: 3, 8: 2, 9: 1}
"""Allowed valence of a neutral atom."""
HEAVIEST = 9


def _limits() -> NDArray[np.float64]:
    """Largest distance [3, HEAVIEST + 1, HEAVIEST + 1] Å of a single, double and triple bond, or 0."""
    table = np.zeros((3, HEAVIEST + 1, HEAVIEST + 1))
    for order, (lengths, margin) in enumerate(
        zip((SINGLE_PM, DOUBLE_PM, TRIPLE_PM), MARGINS_PM, strict=True)
    ):
        for (a, b), length in lengths.items():
            table[order, a, b] = table[order, b, a] = (length + margin) / 100
    return table


LIMITS_ANG = _limits()
ALLOWED = np.array([VALENCES.get(z, -1) for z in range(HEAVIEST + 1)])


def bond_orders(numbers: NDArray[np.integer], positions: NDArray[np.floating]) -> NDArray[np.int8]:
    """Bond orders [..., n, n] from atomic numbers [..., n] and positions [..., n, 3] Å.

    Elements are those of VALENCES; ValueError for others. Positions that are not finite have no bonds.
    """
    numbers = np.asarray(numbers, dtype=np.int64)
    if not np.isin(numbers, list(VALENCES)).all():
        raise ValueError(f"bond orders are known for the elements {', '.join(map(str, VALENCES))} alone")
    points = np.asarray(positions, dtype=np.float64)
    difference = points[..., :, None, :] - points[..., None, :, :]
    distance = np.sqrt(np.einsum("...k,...k->...", difference, difference))
    limits = LIMITS_ANG[:, numbers[..., :, None], numbers[..., None, :]]
    orders = np.zeros(distance.shape, dtype=np.int8)
    nearer = np.ones(distance.shape, dtype=bool)
    for limit in limits:  # a double bond is one that is a single bond as well
        nearer &= distance < limit
        orders += nearer
    orders[..., np.arange(numbers.shape[-1]), np.arange(numbers.shape[-1])] = 0
    return orders


def valences(orders: NDArray[np.integer]) -> NDArray[np.int64]:
    """Sum of the bond orders [..., n, n] at every atom [..., n]."""
    total: NDArray[np.int64] = np.asarray(orders).sum(axis=-1, dtype=np.int64)
    return total


def allowed(numbers: NDArray[np.integer], valence: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether atoms of these elements [..., n] may have these valences [..., n]."""
    fits: NDArray[np.bool_] = ALLOWED[np.asarray(numbers, dtype=np.int64)] == valence
    return fits
