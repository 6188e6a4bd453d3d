"""The force-field minimum beside every structure of a training set: what a denoiser will be given later."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from prerelax.datasets.structures import Structures, read_npz, read_xyz, write_npz
from prerelax.errors import UserError
from prerelax.molecules.graph import conformer_at, connectivity_unchanged
from prerelax.molecules.perception import perceived_molecule
from prerelax.molecules.superposition import superimposed

MOLECULES_AT_A_TIME = 200
MAX_ITERATIONS = 5_000
LOOSE_ITERATIONS = 5
LOOSE_GRADIENT = 0.7
"""kcal/mol/Å (0.03 eV/Å): where optimizers of molecules usually stop. Soft modes
have then hardly moved, whereas RDKit's own minimizer goes on to the bottom of them.
"""


def add_mmff94_starts(inp: Path, out: Path, processes: int = 1, limit: int | None = None) -> tuple[int, int]:
    """Write the set `inp` to the npz `out` with `positions_mmff94`; returns molecules kept and left out.

    `inp` is .npz, .xyz or .extxyz. The start is the MMFF94 minimum that RDKit's minimizer reaches from the
    structure, superimposed on it. Left out are molecules that MMFF94 has no types for, whose bond orders are
    not found, or whose minimum has other bonds. Raises UserError for a file that cannot be read, and where
    nothing is kept.
    """
    try:
        structures = read_npz(inp) if inp.suffix == ".npz" else read_xyz(inp)
    except (OSError, ValueError) as error:
        raise UserError(f"{inp} cannot be given starts: {error}") from error
    structures = structures.select(np.arange(len(structures))[:limit])
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        minima = [m for part in pool.imap(_minima, _parts(structures)) for m in part]
    kept = [row for row, minimum in enumerate(minima) if minimum is not None]
    if not kept:
        raise UserError(f"{inp}: no molecule has an MMFF94 minimum of its own bonds")
    starts = np.concatenate([minima[row] for row in kept]).astype(np.float32)
    write_npz(out, replace(structures.select(kept), positions_start=starts))
    return len(kept), len(structures) - len(kept)


Part = list[tuple[int, NDArray[np.uint8], NDArray[np.float32]]]


def _parts(structures: Structures) -> Iterator[Part]:
    part: Part = []
    for molecule in structures:
        part.append(molecule)
        if len(part) == MOLECULES_AT_A_TIME:
            yield part
            part = []
    if part:
        yield part


def _minima(part: Part) -> list[NDArray[np.float64] | None]:
    with rdBase.BlockLogs():
        return [mmff94_minimum(z, positions, loose=bool(identifier % 2)) for identifier, z, positions in part]


def mmff94_minimum(
    numbers: NDArray[np.integer], positions: NDArray[np.floating], loose: bool = False
) -> NDArray[np.float64] | None:
    """MMFF94 minimum [n_atoms, 3] Å of a structure's basin, superposed on it; None where there is none."""
    positions = positions.astype(np.float64)
    try:
        mol = Chem.Mol(perceived_molecule(numbers.astype(np.int64), positions, 0, None))
        mol.RemoveAllConformers()
        mol.AddConformer(conformer_at(positions))
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol, mmffVariant="MMFF94")
        if properties is None:
            return None
        force_field = rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties)
        iterations = 0
        while force_field.Minimize(maxIts=LOOSE_ITERATIONS if loose else MAX_ITERATIONS):
            iterations += LOOSE_ITERATIONS
            if not loose or iterations > MAX_ITERATIONS or _below(LOOSE_GRADIENT, force_field.CalcGrad()):
                break
        minimum = mol.GetConformer().GetPositions()
        if not connectivity_unchanged(mol, numbers, minimum):
            return None
    except (ValueError, RuntimeError):
        return None
    return superimposed(minimum, positions)


def _below(limit: float, gradient: Sequence[float]) -> bool:
    return bool(np.linalg.norm(np.reshape(gradient, (-1, 3)), axis=1).max() < limit)
