"""Calculators that are known by name: how a level, charge, multiplicity, threads and memory reach each.

Written after the documentation of ASE 3.29 and of the packages. Every basis is spherical from d upwards, as
in all engines here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prerelax.engines.level import Electrons, Level

Keywords = dict[str, object]
POTENTIALS = str(Path(__file__).with_name("potentials.py"))


@dataclass(frozen=True)
class Means:
    """What a molecule's calculation may use."""

    threads: int = 1
    memory_mb: int = 4000


@dataclass(frozen=True)
class Known:
    """A calculator of ASE or of a potential's package."""

    factory: str
    keywords: Callable[[Level, Means], Keywords]
    electrons: Electrons
    packages: tuple[str, ...] = ("ase",)
    """whose versions the numbers depend on"""
    command: str = ""
    """of its program, where none is said in the site file"""
    section: str = ""
    """of ASE's configuration, which the command is put into"""
    command_key: str = "command"
    renewed: bool = True
    """each molecule gets a calculator of its own"""
    is_cheap: bool = False
    takes_basis: bool = False
    elements: tuple[str, ...] | None = None


def _method_and_basis(level: Level, means: Means) -> Keywords:
    return {"method": level.method, **_basis(level)}


def _basis(level: Level) -> Keywords:
    return {"basis": level.basis} if level.basis else {}


def _nwchem(level: Level, means: Means) -> Keywords:
    common = {**_basis(level), "basispar": "spherical", "memory": f"{means.memory_mb} mb"}
    if level.method.lower() == "hf":
        return {"theory": "dft", "dft": {"xc": "hfexch", **_NWCHEM_DFT}, **common}
    dispersion = {"disp": {"d3bj": "vdw 4"}[level.dispersion]} if level.dispersion else {}
    return {"theory": "dft", "dft": {"xc": level.method.lower(), **_NWCHEM_DFT, **dispersion}, **common}


_NWCHEM_DFT = {
    "grid": "fine",
    "iterations": 100,
    "convergence": "energy 1e-8 density 1e-6",
    "noprint": '"final vectors analysis"',
}


def _qchem(level: Level, means: Means) -> Keywords:
    return {
        **_method_and_basis(level, means), "jobtype": "force", "nt": means.threads,
        "mem_total": means.memory_mb, "purecart": "1111", "scf_convergence": 8, "sym_ignore": "true",
    }  # fmt: skip


def _turbomole(level: Level, means: Means) -> Keywords:
    is_hf = level.method.lower() == "hf"
    functional = {} if is_hf else {"density functional": level.method.lower(), "grid size": "m4"}
    return {"basis set name": level.basis, "use dft": not is_hf, **functional, "scf energy convergence": 1e-7}


def _aims(level: Level, means: Means) -> Keywords:
    return {
        "xc": level.method,
        "spin": "collinear",
        "relativistic": "atomic_zora scalar",
        "sc_accuracy_forces": 1e-4,
    }


def _cp2k(level: Level, means: Means) -> Keywords:
    return {"xc": level.method, "uks": True, "basis_set": level.basis or "DZVP-MOLOPT-SR-GTH"}


def _psi4(level: Level, means: Means) -> Keywords:
    memory = f"{means.memory_mb} MB"
    return {**_method_and_basis(level, means), "memory": memory, "num_threads": means.threads, "puream": True}


def _mopac(level: Level, means: Means) -> Keywords:
    return {"method": level.method, "task": "1SCF GRADIENTS"}


def _dftb(level: Level, means: Means) -> Keywords:
    return {"Hamiltonian_SCC": "Yes", "Hamiltonian_SCCTolerance": 1e-8}


def _named(level: Level, means: Means) -> Keywords:
    return {"model": level.method}


_INFO = Electrons(info={"charge": "charge", "multiplicity": "spin"})
_NEUTRAL = Electrons()

KNOWN: Mapping[str, Known] = {
    "nwchem": Known(
        "ase.calculators.nwchem:NWChem", _nwchem,
        Electrons(keywords={"charge": "charge", "multiplicity": "dft.mult"}),
        command="nwchem", section="nwchem", takes_basis=True,
    ),
    "qchem": Known(
        "ase.calculators.qchem:QChem", _qchem,
        Electrons(keywords={"charge": "charge", "multiplicity": "multiplicity"}),
        command="qchem", takes_basis=True,
    ),
    "turbomole": Known(
        "ase.calculators.turbomole:Turbomole", _turbomole,
        Electrons(keywords={"charge": "total charge", "multiplicity": "multiplicity"}),
        command="ridft", takes_basis=True,
    ),
    "aims": Known(
        "ase.calculators.aims:Aims", _aims,
        Electrons(keywords={"charge": "charge", "unpaired": "fixed_spin_moment"}, moments=True),
        command="aims.x", section="aims",
    ),
    "cp2k": Known(
        "ase.calculators.cp2k:CP2K", _cp2k,
        Electrons(keywords={"charge": "charge", "multiplicity": "multiplicity"}),
        command="cp2k.psmp -s", section="cp2k", command_key="cp2k_shell", takes_basis=True,
    ),
    "psi4": Known(
        "ase.calculators.psi4:Psi4", _psi4,
        Electrons(keywords={"charge": "charge", "multiplicity": "multiplicity"}),
        packages=("ase", "psi4"), takes_basis=True,
    ),
    "mopac": Known(
        "ase.calculators.mopac:MOPAC", _mopac,
        Electrons(keywords={"charge": "charge"}, moments=True),
        command="mopac", section="mopac", is_cheap=True,
    ),
    "dftb": Known(
        "ase.calculators.dftb:Dftb", _dftb,
        Electrons(keywords={"charge": "Hamiltonian_Charge"}),
        command="dftb+", section="dftb", is_cheap=True,
    ),
    "mace": Known(f"{POTENTIALS}:mace", _named, _INFO, ("mace-torch", "torch"), renewed=False, is_cheap=True),
    "aimnet2": Known(
        f"{POTENTIALS}:aimnet2", _named,
        Electrons(methods={"charge": "set_charge", "multiplicity": "set_mult"}),
        ("aimnet", "torch"), renewed=False, is_cheap=True,
    ),
    "ani": Known(
        f"{POTENTIALS}:ani", _named, _NEUTRAL, ("torchani", "torch"), renewed=False, is_cheap=True,
        elements=("H", "C", "N", "O", "F", "S", "Cl"),
    ),
    "orb": Known(f"{POTENTIALS}:orb", _named, _INFO, ("orb-models", "torch"), renewed=False, is_cheap=True),
    "uma": Known(
        f"{POTENTIALS}:uma", _named, _INFO, ("fairchem-core", "torch"), renewed=False, is_cheap=True,
    ),
}  # fmt: skip
"""By name."""
