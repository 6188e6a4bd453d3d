"""Which isomer a geometry is: configurations left open, taken from a geometry, compared with it, enumerated.

Centres, double bonds (N=N and C=N included) and the axes of allenes. Hindered biaryls are not looked at:
SMILES does not say which atropisomer is meant.
"""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdCIPLabeler, rdDistGeom, rdForceFieldHelpers
from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers, StereoEnumerationOptions

from prerelax.molecules.graph import (
    bond_changes,
    bonded_matrix,
    conformer_at,
    mapped_smiles,
    mol_from_mapped_smiles,
)
from prerelax.molecules.molecule import Molecule

MOST_ISOMERS = 64
"""of one molecule that are enumerated"""

_CHIRAL = (Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW)
_CIS = (Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS)
_TRANS = (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS)
_MOST_RANKINGS = 100_000
"""steps of the CIP rules for one molecule; cages could take minutes"""


@dataclass(frozen=True)
class Axis:
    """An allene whose ends both have two different substituents."""

    atoms: tuple[int, int, int, int]
    """higher-ranking substituent, its end, the other end, its higher-ranking substituent"""
    middle: int

    def is_right_handed(self, positions: NDArray[np.floating]) -> bool:
        """Whether the configuration is P, not M."""
        return bool(_torsion(positions, self.atoms) > 0)


@dataclass(frozen=True)
class OpenStereo:
    """What a molecule's SMILES leaves open."""

    centres: tuple[int, ...] = ()
    bonds: tuple[int, ...] = ()
    axes: tuple[Axis, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.centres or self.bonds or self.axes)


def open_stereo(mol: Chem.Mol) -> OpenStereo:
    """The centres, double bonds and axes of which `mol` does not say the configuration."""
    with rdBase.BlockLogs():
        unspecified = [
            each for each in Chem.FindPotentialStereo(mol) if each.specified != Chem.StereoSpecified.Specified
        ]
    bonds = [int(each.centeredOn) for each in unspecified if each.type == Chem.StereoType.Bond_Double]
    return OpenStereo(
        tuple(int(each.centeredOn) for each in unspecified if each.type == Chem.StereoType.Atom_Tetrahedral),
        tuple(bond for bond in bonds if not _is_cumulated(mol.GetBondWithIdx(bond))),
        tuple(axes_of(mol)),
    )


def axes_of(mol: Chem.Mol) -> Iterator[Axis]:
    """The axes of `mol`, which SMILES cannot tell the configuration of."""
    for match in mol.GetSubstructMatches(Chem.MolFromSmarts("[CX3]=[CX2]=[CX3]")):
        first, middle, last = match
        highest = [_highest_ranking(mol, end, middle) for end in (first, last)]
        if highest[0] is not None and highest[1] is not None:
            yield Axis((highest[0], first, last, highest[1]), middle)


def _highest_ranking(mol: Chem.Mol, end: int, middle: int) -> int | None:
    """The substituent of an allene's end that ranks first by CIP; None where both are the same."""
    if not all(atom.HasProp("_CIPRank") for atom in mol.GetAtoms()):
        Chem.AssignStereochemistry(mol, cleanIt=False, force=True, flagPossibleStereoCenters=True)
    others = [each for each in mol.GetAtomWithIdx(end).GetNeighbors() if each.GetIdx() != middle]
    ranked = sorted(others, key=lambda atom: int(atom.GetProp("_CIPRank")))
    same = len(ranked) < 2 or ranked[0].GetProp("_CIPRank") == ranked[1].GetProp("_CIPRank")
    return None if same else int(ranked[-1].GetIdx())


def _is_cumulated(bond: Chem.Bond) -> bool:
    ends = (bond.GetBeginAtom(), bond.GetEndAtom())
    return any(
        other.GetIdx() != bond.GetIdx() and other.GetBondType() == Chem.BondType.DOUBLE
        for end in ends
        for other in end.GetBonds()
    )


def with_stereo_of(
    mol: Chem.Mol, positions: NDArray[np.floating], unspecified: OpenStereo
) -> tuple[Chem.Mol, str]:
    """`mol` with its open configurations as a geometry [n_atoms, 3] Å has them, and these in words.

    The words are such as `C2 R, C4=C5 E`.
    """
    fixed = _at(mol, positions)
    Chem.AssignStereochemistryFrom3D(fixed, replaceExistingTags=True)
    fixed.RemoveAllConformers()
    for atom in mol.GetAtoms():  # a centre that RDKit does not find again in a geometry stays as it was given
        if atom.GetChiralTag() in _CHIRAL:
            fixed.GetAtomWithIdx(atom.GetIdx()).SetChiralTag(atom.GetChiralTag())
    for place in unspecified.centres:  # RDKit's perception is confused by cages, see `_handedness`
        centre = fixed.GetAtomWithIdx(place)
        if centre.GetChiralTag() in _CHIRAL and (handedness := _handedness(centre, positions)):
            centre.SetChiralTag(_CHIRAL[0] if handedness > 0 else _CHIRAL[1])
    labels = _labels(fixed)
    taken = [f"{_name(fixed, c)} {labels[c]}" for c in unspecified.centres if c in labels]
    taken += [
        f"{bond_name(fixed, b)} {label}"
        for b in unspecified.bonds
        if (label := _bond_label(fixed.GetBondWithIdx(b)))
    ]
    taken += [
        f"{_axis_name(fixed, axis)} {'P' if axis.is_right_handed(positions) else 'M'}"
        for axis in unspecified.axes
    ]
    return fixed, ", ".join(taken)


def named(mol: Chem.Mol, unspecified: OpenStereo) -> str:
    """The open configurations as a list: `C2, C4=C5`."""
    names = [_name(mol, centre) for centre in unspecified.centres]
    names += [bond_name(mol, bond) for bond in unspecified.bonds]
    return ", ".join([*names, *(_axis_name(mol, axis) for axis in unspecified.axes)])


def stereo_changes(
    mol: Chem.Mol, positions: NDArray[np.floating], before: NDArray[np.floating] | None = None
) -> list[str]:
    """What of the configuration of `mol` a geometry [n_atoms, 3] Å, in its atom order, does not have.

    Each as `the centre C2 is inverted`. It is compared with the geometry `before` of the same atoms, where
    that is given; else with the marks of `mol`, which say nothing of axes. Empty where the geometry is the
    isomer that is meant.
    """
    if before is not None:
        return [
            *_changed_centres(mol, positions, before),
            *_changed_bonds(mol, positions, before),
            *_changed_axes(mol, positions, before),
        ]
    centres = list(_changed_centres(mol, positions))
    if centres and _is_the_same_with_inverted(mol, positions):
        centres = []
    return [*centres, *_changed_bonds(mol, positions)]


@dataclass(frozen=True)
class Changes:
    """How a geometry differs from the molecule that it should be."""

    bonds: tuple[str, ...] = ()
    stereo: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.bonds or self.stereo)

    def __str__(self) -> str:
        return _listed([*self.bonds, *self.stereo])


def changes(
    molecule: str | Chem.Mol, positions: NDArray[np.floating], before: NDArray[np.floating] | None = None
) -> Changes:
    """Bonds and configurations of a molecule (RDKit's, or mapped SMILES) that a geometry does not have.

    Configurations are not looked at where bonds changed; see `stereo_changes`. Raises ValueError where the
    SMILES is not usable or has another number of atoms than the geometry.
    """
    mol = mol_from_mapped_smiles(molecule) if isinstance(molecule, str) else molecule
    if mol.GetNumAtoms() != len(positions):
        raise ValueError("the geometry's atoms are not the molecule's")
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    bonds = bond_changes(bonded_matrix(mol), numbers, positions)
    return Changes(tuple(bonds), () if bonds else tuple(stereo_changes(mol, positions, before)))


def _listed(words: list[str]) -> str:
    return ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "")


def _changed_centres(
    mol: Chem.Mol, positions: NDArray[np.floating], before: NDArray[np.floating] | None = None
) -> Iterator[str]:
    for centre in _centres(mol):
        meant = _handedness_of_tag(centre) if before is None else _handedness(centre, before)
        found = _handedness(centre, positions)
        if found != meant and meant != 0:
            yield f"the centre {_name(mol, centre.GetIdx())} is {'inverted' if found else 'flat'}"


def _centres(mol: Chem.Mol) -> list[Chem.Atom]:
    return [atom for atom in mol.GetAtoms() if atom.GetChiralTag() in _CHIRAL]


def _handedness(centre: Chem.Atom, positions: NDArray[np.floating]) -> int:
    """1 where the neighbours, seen from the first, follow each other clockwise, else -1; 0 in a plane.

    Of the tetrahedron that they span, for in cages all may lie on one side of the centre, which confuses
    RDKit's perception. A centre of three neighbours is the fourth corner itself.
    """
    corners = [bond.GetOtherAtomIdx(centre.GetIdx()) for bond in centre.GetBonds()]
    if len(corners) == 3:
        corners.append(centre.GetIdx())
    first, *others = np.asarray(positions, dtype=float)[corners[:4]]
    edges = np.array(others) - first
    volume = float(np.linalg.det(edges) / np.prod(np.linalg.norm(edges, axis=1)))
    return 0 if abs(volume) < _FLAT else 1 if volume > 0 else -1


_FLAT = 0.01
"""of the volume that three edges at right angles span"""


def _handedness_of_tag(centre: Chem.Atom) -> int:
    return 1 if centre.GetChiralTag() == Chem.ChiralType.CHI_TETRAHEDRAL_CW else -1


def _is_the_same_with_inverted(mol: Chem.Mol, positions: NDArray[np.floating]) -> bool:
    """Whether the centres that a geometry inverts make the same molecule: two of a symmetric ring do."""
    found = Chem.Mol(mol)
    for centre in _centres(found):
        handedness = _handedness(centre, positions)
        centre.SetChiralTag(_CHIRAL[0] if handedness > 0 else _CHIRAL[1])
        if not handedness:
            return False
    return bool(Chem.MolToSmiles(found) == Chem.MolToSmiles(mol))


def _changed_bonds(
    mol: Chem.Mol, positions: NDArray[np.floating], before: NDArray[np.floating] | None = None
) -> Iterator[str]:
    for bond in mol.GetBonds():
        stereo, beside = bond.GetStereo(), list(bond.GetStereoAtoms())
        if len(beside) != 2 or stereo not in (*_CIS, *_TRANS):
            continue
        atoms = (beside[0], bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), beside[1])
        is_cis = abs(_torsion(positions, atoms)) < 90
        if is_cis != (stereo in _CIS if before is None else abs(_torsion(before, atoms)) < 90):
            turned = "cis instead of trans" if is_cis else "trans instead of cis"
            yield f"the double bond {bond_name(mol, bond.GetIdx())} is {turned}"


def _changed_axes(
    mol: Chem.Mol, positions: NDArray[np.floating], before: NDArray[np.floating]
) -> Iterator[str]:
    for axis in axes_of(mol):
        if axis.is_right_handed(positions) != axis.is_right_handed(before):
            yield f"the axis {_axis_name(mol, axis)} is inverted"


def enumerated(mol: Chem.Mol) -> list[tuple[str, Chem.Mol]]:
    """The isomers that `mol` leaves open and that RDKit can embed, each with its labels: `RS`, `E`.

    One, without a label, where nothing is open. Axes stay open. Raises ValueError where there are more than
    MOST_ISOMERS.
    """
    unspecified = open_stereo(mol)
    n_open = len(unspecified.centres) + len(unspecified.bonds)
    if not n_open:
        return [("", mol)]
    options = StereoEnumerationOptions(onlyUnassigned=True, unique=True, maxIsomers=MOST_ISOMERS + 1)
    with rdBase.BlockLogs():
        every = list(itertools.islice(EnumerateStereoisomers(mol, options), MOST_ISOMERS + 1))
        isomers = every if len(every) > MOST_ISOMERS else [each for each in every if can_be(each)] or every
    if len(isomers) > MOST_ISOMERS:
        raise ValueError(f"more than {MOST_ISOMERS} isomers, for {n_open} configurations are open")
    found = []
    for isomer in isomers:
        Chem.AssignStereochemistry(isomer, cleanIt=True, force=True)
        labels = _labels(isomer)
        text = "".join(labels.get(centre, "") for centre in unspecified.centres)
        text += "".join(_bond_label(isomer.GetBondWithIdx(bond)) for bond in unspecified.bonds)
        found.append((text, isomer))
    return found


def can_be(isomer: Chem.Mol) -> bool:
    """Whether an isomer embeds and stays itself in a force field; a trans-fused epoxide does not."""
    placed = Chem.Mol(isomer)
    with rdBase.BlockLogs():
        if rdDistGeom.EmbedMolecule(placed, randomSeed=_SEED) < 0:
            return False
        before = placed.GetConformer().GetPositions()
        if rdForceFieldHelpers.MMFFHasAllMoleculeParams(placed):
            rdForceFieldHelpers.MMFFOptimizeMolecule(placed, maxIters=_STEPS)
        elif rdForceFieldHelpers.UFFHasAllMoleculeParams(placed):
            rdForceFieldHelpers.UFFOptimizeMolecule(placed, maxIters=_STEPS)
    return not stereo_changes(isomer, placed.GetConformer().GetPositions(), before)


_SEED, _STEPS = 42, 500


def may_be_impossible(mol: Chem.Mol, unspecified: OpenStereo) -> bool:
    """Whether an open centre joins rings, of which not every isomer can be built."""
    rings = mol.GetRingInfo()
    return any(rings.NumAtomRings(centre) > 1 for centre in unspecified.centres)


def isomers_of(molecule: Molecule) -> list[Molecule]:
    """The molecules that a row stands for, each with its own id: `x-RS1`, `x-RR2`.

    The row itself where nothing is open, or more than MOST_ISOMERS are.
    """
    if molecule.mol is None or molecule.positions is not None:
        return [molecule]
    try:
        isomers = enumerated(molecule.mol)
    except ValueError as error:
        return [replace(molecule, message=f"{error}; one is taken")]
    if len(isomers) < 2:
        return [replace(molecule, mol=mol, smiles=mapped_smiles(mol)) for _, mol in isomers] or [molecule]
    return [
        replace(molecule, id=f"{molecule.id}-{label}{number}", mol=mol, smiles=mapped_smiles(mol))
        for number, (label, mol) in enumerate(isomers, start=1)
    ]


def _labels(mol: Chem.Mol) -> dict[int, str]:
    """R, S, r or s of the centres by atom; `?` where the CIP rules take too long."""
    labelled = Chem.Mol(mol)
    with contextlib.suppress(RuntimeError):
        rdCIPLabeler.AssignCIPLabels(labelled, maxRecursiveIterations=_MOST_RANKINGS)
    return {
        atom.GetIdx(): atom.GetProp("_CIPCode") if atom.HasProp("_CIPCode") else "?"
        for atom in labelled.GetAtoms()
        if atom.GetChiralTag() in _CHIRAL
    }


def _bond_label(bond: Chem.Bond) -> str:
    stereo = bond.GetStereo()
    return "Z" if stereo in _CIS else "E" if stereo in _TRANS else ""


def _name(mol: Chem.Mol, atom: int) -> str:
    return f"{mol.GetAtomWithIdx(atom).GetSymbol()}{atom + 1}"


def bond_name(mol: Chem.Mol, bond: int) -> str:
    """A double bond as its atoms, counted from 1: `C2=N3`."""
    found = mol.GetBondWithIdx(bond)
    return f"{_name(mol, found.GetBeginAtomIdx())}={_name(mol, found.GetEndAtomIdx())}"


def _axis_name(mol: Chem.Mol, axis: Axis) -> str:
    return "=".join(_name(mol, atom) for atom in (axis.atoms[1], axis.middle, axis.atoms[2]))


def _at(mol: Chem.Mol, positions: NDArray[np.floating]) -> Chem.Mol:
    placed = Chem.Mol(mol)
    placed.RemoveAllConformers()
    placed.AddConformer(conformer_at(positions), assignId=True)
    return placed


def _torsion(positions: NDArray[np.floating], atoms: tuple[int, int, int, int]) -> float:
    """The torsion of four atoms in degrees, positive where the far bond is turned clockwise."""
    a, b, c, d = (np.asarray(positions[atom], dtype=float) for atom in atoms)
    axis = (c - b) / np.linalg.norm(c - b)
    near, far = a - b, d - c
    near, far = near - (near @ axis) * axis, far - (far @ axis) * axis
    return float(np.degrees(np.arctan2(np.cross(axis, near) @ far, near @ far)))
