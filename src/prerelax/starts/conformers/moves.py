"""Moves between conformers: turn a single bond or embed the molecule again, then minimise with MMFF94."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers, rdMolTransforms

from prerelax.molecules.constraints import rotatable_torsions
from prerelax.molecules.graph import bonded_matrix, bonds_unchanged, conformer_at
from prerelax.starts.conformers.replica_exchange import Geometry
from prerelax.starts.embed import embedded_positions

MMFF94_ITERATIONS = 200
"""RDKit's default, and the papers' number; the denoiser does the rest"""


@dataclass(frozen=True)
class Conformation:
    """A molecule whose conformers are searched for."""

    mol: Chem.Mol
    """all hydrogens, stereochemistry of the geometry it came with, no conformers"""
    bonded: NDArray[np.bool_]
    """[n_atoms, n_atoms]"""
    torsions: list[tuple[int, int, int, int]]
    """atoms of one torsion around each rotatable bond"""
    has_mmff94: bool

    @property
    def numbers(self) -> NDArray[np.int64]:
        return np.array([atom.GetAtomicNum() for atom in self.mol.GetAtoms()], dtype=np.int64)

    def is_whole(self, positions: Geometry) -> bool:
        """Whether a geometry is finite, with the molecule's bonds."""
        return bool(np.isfinite(positions).all()) and bonds_unchanged(self.bonded, self.numbers, positions)

    def has_stereo(self, positions: Geometry) -> bool:
        """Whether a geometry has the molecule's stereochemistry."""
        return _stereo_smiles(with_stereo_of(self.mol, positions)) == _stereo_smiles(self.mol)


def conformation(mol: Chem.Mol, positions: Geometry) -> Conformation:
    """The molecule `mol` with the stereochemistry of `positions` [n_atoms, 3] Å."""
    fixed = with_stereo_of(mol, positions)
    with rdBase.BlockLogs():
        has_mmff94 = bool(rdForceFieldHelpers.MMFFHasAllMoleculeParams(fixed))
    return Conformation(fixed, bonded_matrix(fixed), rotatable_torsions(fixed), has_mmff94)


def with_stereo_of(mol: Chem.Mol, positions: Geometry) -> Chem.Mol:
    """`mol` with every stereocentre and double bond marked as it is in a geometry."""
    marked = _with(mol, positions)
    Chem.AssignStereochemistryFrom3D(marked)
    marked.RemoveAllConformers()
    return marked


def _stereo_smiles(mol: Chem.Mol) -> str:
    return str(Chem.MolToSmiles(Chem.RemoveHs(mol)))


def turned(molecule: Conformation, positions: Geometry, rng: np.random.Generator) -> Geometry:
    """`positions` with one rotatable bond, drawn at random, turned by an angle drawn from the full circle.

    A kick and its opposite are equally likely, as the Metropolis criterion requires of a proposal.
    """
    torsion = molecule.torsions[int(rng.integers(len(molecule.torsions)))]
    trial = _with(molecule.mol, positions)
    conformer = trial.GetConformer()
    angle = rdMolTransforms.GetDihedralRad(conformer, *torsion) + rng.uniform(-np.pi, np.pi)
    rdMolTransforms.SetDihedralRad(conformer, *torsion, angle)
    result: Geometry = conformer.GetPositions()
    return result


def embedded(molecule: Conformation, rng: np.random.Generator) -> Geometry | None:
    """A new geometry by ETKDGv3; None where RDKit finds none."""
    return embedded_positions(molecule.mol, int(rng.integers(2**31 - 1)))


def at_mmff94_minimum(molecule: Conformation, positions: Geometry) -> Geometry:
    """`positions` after MMFF94's minimizer; unchanged where MMFF94 has no parameters or gives up."""
    if not molecule.has_mmff94 or len(positions) < 2:
        return positions
    trial = _with(molecule.mol, positions)
    try:
        rdForceFieldHelpers.MMFFOptimizeMolecule(trial, mmffVariant="MMFF94", maxIters=MMFF94_ITERATIONS)
    except (RuntimeError, ValueError):  # atoms turned onto each other
        return positions
    result: Geometry = trial.GetConformer().GetPositions()
    return result


def _with(mol: Chem.Mol, positions: Geometry) -> Chem.Mol:
    copy = Chem.Mol(mol)
    copy.RemoveAllConformers()
    copy.AddConformer(conformer_at(positions), assignId=True)
    return copy
