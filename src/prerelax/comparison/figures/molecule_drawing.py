"""A molecule in three dimensions as circles and lines, from where it is seen best."""

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from numpy.typing import NDArray

from prerelax.comparison.figures.style import INK
from prerelax.molecules.graph import bonded_matrix, mol_from_mapped_smiles

_COLOURS = {
    1: "#F2F2F2",
    6: "#777777",
    7: "#4C72D6",
    8: "#D64C4C",
    9: "#7BC96F",
    16: "#D6C24C",
    17: "#4CAF50",
}
_OTHER_COLOUR = "#B58BC9"


def best_view(geometries: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Rotation [3, 3] that spreads the atoms of superimposed `geometries` most over the first two axes."""
    points = np.concatenate([np.asarray(g, dtype=float) - np.mean(g, axis=0) for g in geometries])
    _, _, axes = np.linalg.svd(points, full_matrices=False)
    axes[2] *= np.linalg.det(axes)
    view: NDArray[np.float64] = axes.T
    return view


def draw_molecule(
    axes: Axes, smiles: str, numbers: NDArray[np.integer], positions: NDArray[np.floating]
) -> None:
    """Draw atoms at `positions` [n_atoms, 3] Å, x to the right, y upward, z towards the eye."""
    draw_atoms(axes, bonded_matrix(mol_from_mapped_smiles(smiles)), numbers, positions)


def draw_atoms(
    axes: Axes, bonded: NDArray[np.bool_], numbers: NDArray[np.integer], positions: NDArray[np.floating]
) -> None:
    """`draw_molecule` with the bonds of an adjacency matrix [n_atoms, n_atoms]."""
    depth = positions[:, 2]
    for i, j in np.argwhere(np.triu(bonded)):
        order = float(depth[[i, j]].min())
        axes.plot(*positions[[i, j], :2].T, color="#555555", lw=2.0, zorder=order, solid_capstyle="round")
    for number, (x, y, z) in zip(numbers, positions, strict=True):
        radius = 0.45 * float(covalent_radii[number]) + 0.08
        colour = _COLOURS.get(int(number), _OTHER_COLOUR)
        axes.add_patch(Circle((x, y), radius, fc=colour, ec=INK, lw=0.5, zorder=z + 0.05))
    axes.set_aspect("equal")
    axes.set_axis_off()
