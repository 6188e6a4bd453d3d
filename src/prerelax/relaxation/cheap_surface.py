"""Levels below the target, whose gradients are nearly free beside it: xTB, MMFF94, or one that is named."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from prerelax.engines import EngineCalculator, EngineError, Level, engine_named, make_calculator
from prerelax.errors import nearest

XTB = {
    "gfn2": Level(engine="tblite", method="GFN2-xTB"),
    "gfn1": Level(engine="tblite", method="GFN1-xTB"),
}
MODEL = "lindh"
CHEAP_LEVELS = (*XTB, "mmff94", MODEL)
"""`lindh` is a model Hessian without a potential energy surface behind it."""

Vector = NDArray[np.float64]
Guide = str | Level
"""One of CHEAP_LEVELS, or a level of any engine that shares a process with others."""


def name_of(guide: Guide) -> str:
    """What messages and tables call a cheap level."""
    return guide if isinstance(guide, str) else str(guide)


def cheap_level(choice: Guide, target: Level) -> Guide:
    """The cheap level that `choice` (`auto`, one of CHEAP_LEVELS, or a level) means for a target.

    `auto` is GFN1-xTB, whose force constants are nearest to DFT's, and GFN2-xTB where GFN1 is the target.
    Raises ValueError for an unknown name, for a level that is the target (its gradients would not be
    counted), and for xTB beside a neural force field, for tblite is not reproducible beside torch.
    """
    in_torch = engine_named(target.engine).in_torch
    if isinstance(choice, Level):
        same = {name: getattr(target, name) for name in Level.model_fields}
        if choice == Level(**same | {"tight": choice.tight}):
            raise ValueError(
                f"the cheap level {choice} is the target itself: its gradients would go uncounted; leave "
                "cheap_level out, or choose another one"
            )
        if in_torch or engine_named(choice.engine).in_torch:
            raise ValueError(
                "a network of mlff shares no process with another level; use the cheap level lindh"
            )
        return choice
    if choice == "auto":
        if in_torch:
            return MODEL
        return "gfn2" if _is(target, "gfn1") else "gfn1"
    if choice not in CHEAP_LEVELS:
        raise ValueError(f"unknown cheap level '{choice}'{nearest(choice, ('auto', *CHEAP_LEVELS))}")
    if _is(target, choice):
        raise ValueError(
            f"the cheap level {choice} is the target itself: its gradients would go uncounted; leave "
            "cheap_level out, or choose another one"
        )
    if in_torch and choice in XTB:
        raise ValueError("xTB cannot share a process with a neural force field; use the cheap level lindh")
    return choice


def _is(target: Level, name: str) -> bool:
    if name not in XTB:
        return False
    cheap = XTB[name]
    return target.engine == cheap.engine and _bare(target.method) == _bare(cheap.method)


def _bare(method: str) -> str:
    return method.lower().removesuffix("-xtb")


class CheapSurface:
    """Energy in eV and gradient [3 n_atoms] in eV/Å of one molecule at a cheap level, each call counted.

    `guide` is anything but the model. Calls raise EngineError where the level cannot treat a geometry.
    """

    def __init__(
        self, guide: Guide, numbers: NDArray[np.integer], charge: int, multiplicity: int, threads: int = 1
    ) -> None:
        self.name = name_of(guide)
        self.n_gradients = 0
        self._atoms = Atoms(numbers=numbers)
        self._electrons = (charge, multiplicity)
        level = guide if isinstance(guide, Level) else XTB.get(guide)
        self._calculator: EngineCalculator | None = None
        if level is not None:
            self._calculator = self._atoms.calc = make_calculator(
                level, charge=charge, multiplicity=multiplicity, threads=threads
            )
        self._forcefield: _Mmff94 | None = None

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """At the positions `x` [3 n_atoms] in Å."""
        self.n_gradients += 1
        energy, gradient = self._evaluated(x)
        if not (np.isfinite(energy) and np.isfinite(gradient).all()):
            raise EngineError("unknown_error", f"{self.name} gives no numbers at this geometry")
        return energy, gradient

    def own_hessian(self, x: Vector) -> NDArray[np.float64] | None:
        """[3 n_atoms, 3 n_atoms] eV/Å² where the level has one of its own; it counts as one gradient."""
        if self._calculator is None:
            return None
        self._atoms.set_positions(x.reshape(-1, 3))
        matrix = self._calculator.hessian(self._atoms)
        self.n_gradients += matrix is not None
        return matrix

    def close(self) -> None:
        """End what its calculator keeps."""
        if self._calculator is not None:
            self._calculator.close()

    def _evaluated(self, x: Vector) -> tuple[float, Vector]:
        positions = x.reshape(-1, 3)
        if self._calculator is None:
            if self._forcefield is None:
                self._forcefield = _Mmff94(self._atoms.numbers, positions, *self._electrons)
            return self._forcefield(x)
        self._atoms.set_positions(positions)
        forces = self._atoms.get_forces()
        return float(self._atoms.get_potential_energy()), -np.ravel(forces)


class _Mmff94:
    """MMFF94 on the bonds perceived from the first geometry (Halgren, J. Comput. Chem. 1996, 17, 490)."""

    def __init__(
        self, numbers: NDArray[np.integer], positions: NDArray[np.float64], charge: int, multiplicity: int
    ) -> None:
        from rdkit.Chem import rdForceFieldHelpers

        from prerelax.molecules.graph import conformer_at
        from prerelax.molecules.perception import perceived_molecule

        try:
            molecule = perceived_molecule(numbers, positions, charge, multiplicity)
        except ValueError as error:
            raise EngineError("forcefield_unavailable", f"MMFF94 needs bonds: {error}") from error
        molecule.AddConformer(conformer_at(positions), assignId=True)
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
        if properties is None:
            raise EngineError("forcefield_unavailable", "MMFF94 has no atom type for one of the atoms")
        self._field = rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties)
        self._field.Initialize()

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        from ase.units import kcal, mol

        point = x.tolist()
        energy = self._field.CalcEnergy(point) * kcal / mol
        return energy, np.array(self._field.CalcGrad(point)) * kcal / mol
