"""Calculators that are known by name: how a level, charge, multiplicity, threads and memory reach each.

Written after the documentation of ASE 3.29 and of the packages. Every basis is spherical from d upwards, as
in all engines here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ase.data import chemical_symbols

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
    is_boxed: bool = False
    """it needs a cell around the molecule"""
    takes_command: bool = False
    """a calculator of prerelax's own, which is given its program's command as a keyword"""
    takes_options: bool = True
    options: tuple[str, ...] = ()
    """those that it heeds, where it leaves others out without a word; none named: it complains itself"""
    takes_basis: bool = False
    needs_basis: bool = False
    """without one ASE or the program would take one of its own choice"""
    own_basis: str = r"(?!)"
    """pattern of the methods that bring or need none"""
    dispersions: tuple[str, ...] = ()
    """that the level may name"""
    forbidden: tuple[str, ...] = ()
    """words that would make the program run another one, or read files"""
    elements: tuple[str, ...] | None = None

    @property
    def is_potential(self) -> bool:
        """A package of Python, not a program."""
        return not self.command

    @property
    def obeys_command(self) -> bool:
        """Whether the site file's command is what runs; of others ASE knows it better."""
        return self.takes_command or bool(self.section)


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
    basis = level.basis or "DZVP-MOLOPT-SR-GTH"
    return {"xc": level.method, "uks": True, "basis_set": basis, "stress_tensor": False}


def _psi4(level: Level, means: Means) -> Keywords:
    memory = f"{means.memory_mb} MB"
    return {**_method_and_basis(level, means), "memory": memory, "num_threads": means.threads, "puream": True}


def _mopac(level: Level, means: Means) -> Keywords:
    return {"method": level.method, "task": "1SCF GRADIENTS"}


def _dftb(level: Level, means: Means) -> Keywords:
    return {"Hamiltonian_SCC": "Yes", "Hamiltonian_SCCTolerance": 1e-8}


def _orca(level: Level, means: Means) -> Keywords:
    from prerelax.engines.ase.orca import FUNCTIONALS

    options = level.options or {}
    words = [
        FUNCTIONALS.get(level.method.lower(), level.method),
        *_words(level.dispersion),
        *_words(level.basis),
    ]
    words += [] if level.density_fitting else ["NORI"]
    words += ["VeryTightSCF" if level.tight else "TightSCF", *_words(options.get("words"))]
    own = {"words": " ".join(words), "threads": means.threads, "memory_mb": means.memory_mb}
    return {**own, "blocks": options.get("blocks") or {}}


def _gaussian(level: Level, means: Means) -> Keywords:
    model = f"{level.method}/{level.basis} 5D 7F" if level.basis else level.method
    dispersion = {"d3bj": ["EmpiricalDispersion=GD3BJ"]}.get(level.dispersion or "", [])
    words = [model, *dispersion, *_words((level.options or {}).get("route"))]
    return {"route": " ".join(words), "threads": means.threads, "memory_mb": means.memory_mb}


def _words(said: object) -> list[str]:
    return [str(said).upper() if said in ("d3bj", "d4") else str(said)] if said else []


def _xtb(level: Level, means: Means) -> Keywords:
    return {"method": level.method}


def _no_keywords(level: Level, means: Means) -> Keywords:
    return {}


def _named(level: Level, means: Means) -> Keywords:
    return {"model": level.method}


_INFO = Electrons(info={"charge": "charge", "multiplicity": "spin"})
_NEUTRAL = Electrons()
_KEYWORDS = Electrons(keywords={"charge": "charge", "multiplicity": "multiplicity"})

KNOWN: Mapping[str, Known] = {
    "orca": Known(
        "prerelax.engines.ase.orca:Orca", _orca, _KEYWORDS, (), "orca",
        takes_command=True, options=("words", "blocks"), takes_basis=True, dispersions=("d3bj", "d4"),
        forbidden=("compound", "extopt", "progext", "sys_cmd", "%", "*xyz", "file"),
    ),
    "gaussian": Known(
        "prerelax.engines.ase.gaussian:Gaussian", _gaussian, _KEYWORDS, (), "g16",
        takes_command=True, options=("route",), takes_basis=True, needs_basis=True, dispersions=("d3bj",),
        own_basis=r"(am1|pm\d|pddg|mndo|indo|cndo|zindo|dftba?$|g[1-4]|cbs-|w1|uff|dreiding|amber|.*/)",
        forbidden=("external", "%", "@", "subst"),
    ),
    "xtb": Known(
        "prerelax.engines.ase.xtb:Xtb", _xtb, _KEYWORDS, (), "xtb", takes_command=True,
        takes_options=False, is_cheap=True, elements=tuple(chemical_symbols[1:87]),
    ),
    "gxtb": Known(
        "prerelax.engines.ase.xtb:Gxtb", _no_keywords, _KEYWORDS, (), "gxtb", takes_command=True,
        takes_options=False,
    ),
    "nwchem": Known(
        "ase.calculators.nwchem:NWChem", _nwchem,
        Electrons(keywords={"charge": "charge", "multiplicity": "dft.mult"}),
        command="nwchem", section="nwchem", takes_basis=True, needs_basis=True, dispersions=("d3bj",),
        forbidden=("python", "load", "task", "shell", "include", "_dir"),
    ),
    "qchem": Known(
        "ase.calculators.qchem:QChem", _qchem,
        Electrons(keywords={"charge": "charge", "multiplicity": "multiplicity"}),
        command="qchem", takes_basis=True, needs_basis=True,
    ),
    "turbomole": Known(
        "ase.calculators.turbomole:Turbomole", _turbomole,
        Electrons(keywords={"charge": "total charge", "multiplicity": "multiplicity"}),
        command="ridft", takes_basis=True, needs_basis=True,
    ),
    "aims": Known(
        "ase.calculators.aims:Aims", _aims,
        Electrons(keywords={"charge": "charge", "unpaired": "fixed_spin_moment"}, moments=True),
        command="aims.x", section="aims",
    ),
    "cp2k": Known(
        "ase.calculators.cp2k:CP2K", _cp2k,
        Electrons(keywords={"charge": "charge", "multiplicity": "multiplicity"}),
        command="cp2k.psmp -s", section="cp2k", command_key="cp2k_shell", takes_basis=True, is_boxed=True,
    ),
    "psi4": Known(
        "ase.calculators.psi4:Psi4", _psi4,
        Electrons(keywords={"charge": "charge", "multiplicity": "multiplicity"}),
        packages=("ase", "psi4"), takes_basis=True, needs_basis=True,
    ),
    "mopac": Known(
        "ase.calculators.mopac:MOPAC", _mopac,
        Electrons(keywords={"charge": "charge"}, moments=True),
        command="mopac", section="mopac", options=("relscf",), is_cheap=True,
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


def name_of(said: str | None) -> str:
    """The calculator's name, also where its class in ASE is said; the user's own by its import path."""
    return next((name for name, known in KNOWN.items() if said in (name, known.factory)), said or "")


def packages_of(name: str, method: str) -> tuple[str, ...]:
    """Packages whose versions the numbers of a known calculator depend on: weights come with them."""
    if name == "ani" and method.lower().replace("-", "") == "ani2xt":
        return ("auto3d", "torchani", "torch")
    return KNOWN[name].packages


def electrons_of(name: str, method: str) -> Electrons:
    """How charge and multiplicity reach a known calculator; models that ignore them are told none."""
    model = method.lower()
    match name:
        case "xtb" if model == "gfn-ff":
            return Electrons(keywords={"charge": "charge"})
        case "mace" | "orb" if "omol" not in model:
            return _NEUTRAL
        case "aimnet2" if "nse" not in model:
            return Electrons(methods={"charge": "set_charge"})
        case _:
            return KNOWN[name].electrons
