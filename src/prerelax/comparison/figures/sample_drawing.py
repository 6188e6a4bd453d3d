"""Molecules from noise in a grid of drawings, whole, in pieces or blown up."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from prerelax.comparison.figures.molecule_drawing import best_view, draw_atoms
from prerelax.comparison.figures.style import DOUBLE_COLUMN_MM, INK, new_figure, say
from prerelax.molecules.bond_orders import bond_orders

COLUMNS = 8
LARGEST_DRAWN_ANG = 8.0
"""Pieces of a molecule with an atom further from its centre are drawn side by side."""
GAP_ANG = 1.2
FAULT = "#B03A2E"


def evenly_spaced(of: int, at_most: int) -> list[int]:
    """At most so many places of a list of that length, evenly spaced, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, of - 1, min(at_most, of)).tolist()} if of else [])


def sample_grid(n: int, words: str) -> tuple[Figure, list[Axes]]:
    """A figure with `n` empty places for molecules and words above them."""
    columns = min(COLUMNS, n)
    lines = -(-n // columns)
    figure = new_figure(DOUBLE_COLUMN_MM, 8 + 26 * lines)
    figure.suptitle(words, x=0.01, ha="left", fontsize=7)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    return figure, list(grid[:n])


def draw_sample(
    axes: Axes, numbers: NDArray[np.integer], positions: NDArray[np.floating], fine: str, fault: str
) -> None:
    """Draw a molecule by its geometry alone, and under it `fine`, or `fault` in red where that is empty."""
    if not np.isfinite(positions).all() or np.abs(positions).max() > 1e6:
        say(axes, "blew up")
        return
    bonded = bond_orders(numbers, positions) > 0
    turned = _turned(positions)
    n_pieces, _ = connected_components(bonded, directed=False)
    apart = bool(np.abs(turned).max() > LARGEST_DRAWN_ANG)
    if apart:
        turned = _side_by_side(bonded, positions)
    draw_atoms(axes, bonded, numbers, turned)
    reach = np.abs(turned[:, :2]).max() + 0.5
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    if n_pieces > 1:
        fault += ", pieces far apart" if apart else ", in pieces"
    words = fine or fault
    shown = words if len(words) < 24 else words[:22] + "…"
    place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "top"}
    axes.text(0.5, 0.0, shown, fontsize=5, color=INK if fine else FAULT, **place)


def _turned(positions: NDArray[np.floating]) -> NDArray[np.float64]:
    """Centred and as seen best."""
    centred = positions.astype(float) - positions.mean(axis=0)
    with_axes = np.concatenate([centred, np.zeros((3, 3))])  # single atoms have a view, too
    turned: NDArray[np.float64] = centred @ best_view([with_axes])
    return turned


def _side_by_side(bonded: NDArray[np.bool_], positions: NDArray[np.floating]) -> NDArray[np.float64]:
    """Positions [n_atoms, 3] Å with the bonded pieces next to each other in rows, as wide as high."""
    n_pieces, piece_of = connected_components(bonded, directed=False)
    placed = np.zeros((len(positions), 3))
    columns = int(np.ceil(np.sqrt(n_pieces)))
    x = y = row_height = 0.0
    for piece in range(n_pieces):
        if piece % columns == 0:
            x, y, row_height = 0.0, y - row_height, 0.0
        turned = _turned(positions[piece_of == piece])
        width, height = np.ptp(turned[:, :2], axis=0) + GAP_ANG
        placed[piece_of == piece] = turned - turned.min(axis=0) + [x, y - height, 0.0]
        x, row_height = x + width, max(row_height, height)
    placed[:, :2] -= (placed[:, :2].max(axis=0) + placed[:, :2].min(axis=0)) / 2
    return placed
