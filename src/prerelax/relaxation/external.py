"""Sella, geomeTRIC and pyberny as ASE optimizers; each is imported only when it is chosen.

Their steps are theirs with their defaults; convergence is the largest force on an atom, as for every
optimizer here, and every gradient is asked of the atoms' calculator. Sella: Hermes et al., J. Chem. Theory
Comput. 2022, 18, 6974; geomeTRIC: Wang and Song, J. Chem. Phys. 2016, 144, 214108; pyberny: Birkholz and
Schlegel, Theor. Chem. Acc. 2016, 135, 84.
"""

import importlib.util
from typing import IO, Any

import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from ase.optimize.optimize import Optimizer
from ase.units import Bohr, Hartree
from numpy.typing import NDArray

from prerelax.molecules.constraints import Constraints

PACKAGES = {"sella": "sella", "geometric": "geometric", "pyberny": "berny"}
"""Optimizer name -> the module that must be there."""
NEVER = 1e-12
"""As a convergence threshold in atomic units: no optimizer may stop by its own criteria."""
UNBOUNDED = 10**9
"""Steps, where a package wants a bound of its own."""


def check_installed(name: str) -> None:
    """Raise ValueError with the command to install it where an optimizer's package is absent."""
    module = PACKAGES.get(name)
    if module is not None and importlib.util.find_spec(module) is None:
        raise ValueError(f"the optimizer {name} is not installed here: pip install 'prerelax[optimizers]'")


def sella(atoms: Atoms, logfile: IO[str] | str | None = None) -> Optimizer:
    """Sella to a minimum in internal coordinates; Cartesian ones below three atoms, which have no angles."""
    if len(atoms) == 1:
        return BFGS(atoms, logfile=logfile)  # nothing to do, but Sella cannot be made
    from sella import Sella

    class SellaMinimum(Sella):
        def converged(self, forces: Any = None) -> bool:
            return bool(self.gradient_converged(-self.atoms.get_forces().ravel()))

        def gradient_converged(self, gradient: Any) -> bool:
            return bool(np.linalg.norm(self.atoms.get_forces(), axis=1).max() < self.fmax)

    many = len(atoms) > 2
    return SellaMinimum(atoms, order=0, internal=many, allow_fragments=many, logfile=logfile)


class _Stepwise(Optimizer):
    """An optimizer whose next geometry another program proposes."""

    def __init__(self, atoms: Atoms, logfile: IO[str] | str | None = None) -> None:
        self.program: Any = None
        super().__init__(atoms, logfile=logfile)

    def step(self) -> None:
        """Tell the program of the present geometry's energy and gradient, and move where it says."""
        energy = self.atoms.get_potential_energy() / Hartree
        gradient = -self.atoms.get_forces() * (Bohr / Hartree)
        self.atoms.set_positions(self.next_positions(energy, gradient))

    def next_positions(self, energy: float, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """[n_atoms, 3] Å, from the energy in Hartree and the gradient [n_atoms, 3] in Hartree/bohr."""
        raise NotImplementedError


class Pyberny(_Stepwise):
    """pyberny's Berny algorithm in redundant internal coordinates."""

    def next_positions(self, energy: float, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        from berny import Berny
        from berny.geomlib import Geometry

        if self.program is None:
            geometry = Geometry(self.atoms.get_chemical_symbols(), self.atoms.get_positions())
            thresholds = dict.fromkeys(("gradientmax", "gradientrms", "stepmax", "steprms"), NEVER)
            self.program = Berny(geometry, maxsteps=UNBOUNDED, symmetry="nowarn", **thresholds)
            next(self.program)
        self.program.send((energy, gradient))
        return np.array(next(self.program).coords)


class Geometric(_Stepwise):
    """geomeTRIC in delocalised internal coordinates."""

    def __init__(
        self, atoms: Atoms, logfile: IO[str] | str | None = None, constraints: Constraints | None = None
    ) -> None:
        self.constraints = constraints
        super().__init__(atoms, logfile=logfile)

    def next_positions(self, energy: float, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.program is None:
            symbols, begin = self.atoms.get_chemical_symbols(), self.atoms.get_positions()
            self.program = GeometricSteps(symbols, begin, constraints=self.constraints)
        positions: NDArray[np.float64] = self.program.next_positions(energy, gradient)
        return positions


class GeometricSteps:
    """geomeTRIC's optimizer, told energies and gradients, asked for geometries.

    `symbols` [n_atoms], `positions` [n_atoms, 3] Å of the first geometry; `hessian` [3 n_atoms, 3 n_atoms] in
    Hartree/bohr² is where it begins, geomeTRIC's own guess without one. `constraints` keep what the first
    geometry has. On a `smooth` surface no energy is noise, and steps are rejected however small they are.
    """

    def __init__(
        self,
        symbols: list[str],
        positions: NDArray[np.float64],
        hessian: NDArray[np.float64] | None = None,
        trust_ang: float = 0.1,
        constraints: Constraints | None = None,
        smooth: bool = False,
    ) -> None:
        from geometric.engine import Engine
        from geometric.internal import DelocalizedInternalCoordinates
        from geometric.molecule import Molecule
        from geometric.optimize import Optimizer as GeometricOptimizer
        from geometric.params import OptParams
        from geometric.prepare import parse_constraints

        class Told(Engine):
            told: dict[str, object]

            def calc(self, coords: Any, dirname: str, read_data: bool = False, copydir: Any = None) -> Any:
                return self.told

            def load_guess_files(self, dirname: str) -> None:
                pass

            def save_guess_files(self, dirname: str) -> None:
                pass

        molecule = Molecule()
        molecule.elem = symbols
        molecule.xyzs = [positions]
        molecule.build_topology()
        # By its criteria of the energy and the step geomeTRIC knows changes that are noise, and takes such
        # steps, where it would else reject them for ever. One criterion that is never met is enough.
        never = ("energy", "grms", "gmax", "drms", "dmax") if smooth else ("gmax",)
        parameters = OptParams(
            maxiter=UNBOUNDED,
            convergence_set="GAU",
            trust=trust_ang,
            **{f"convergence_{name}": NEVER for name in never},
        )
        held, values = (
            parse_constraints(molecule, constraints.of_geometric) if constraints else (None, [None])
        )
        coordinates = DelocalizedInternalCoordinates(
            molecule, build=True, connect=False, addcart=False, constraints=held, cvals=values[0]
        )
        self._hessian = hessian
        self._begun = False
        start = positions.ravel() / Bohr
        engine = Told(molecule)
        self._program = GeometricOptimizer(
            start, molecule, coordinates, engine, ".", parameters, print_info=False
        )

    def next_positions(self, energy: float, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """[n_atoms, 3] Å, from the energy in Hartree and the gradient [n_atoms, 3] in Hartree/bohr."""
        from geometric.optimize import OPT_STATE

        program = self._program
        program.engine.told = {"energy": energy, "gradient": gradient.ravel()}
        program.calcEnergyForce()
        if self._begun:
            program.evaluateStep()
        else:
            program.prepareFirstStep()
            self._begun = True
            if self._hessian is not None:
                program.H = program.IC.calcHess(program.X, gradient.ravel(), self._hessian)
                program.H0 = program.H.copy()
        program.state = OPT_STATE.SKIP_EVALUATION
        while program.state != OPT_STATE.NEEDS_EVALUATION:
            program.step()
        return np.array(program.X.reshape(-1, 3) * Bohr)
