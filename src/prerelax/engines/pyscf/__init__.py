"""PySCF: Hartree-Fock and any density functional in any basis, and the QM9 data set's own level.

This module names the settings and checks a level; the calculator is in `pyscf_scf`.
"""

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase.calculators.calculator import Calculator

from prerelax.engines.level import Level, nearest, versions
from prerelax.engines.solvents import smd_name

DISPERSIONS = ("d3bj", "d3zero", "d3bjm", "d3zerom", "d3op", "d4")
QM9 = "qm9"

COMMON_FUNCTIONALS = (
    "B3LYP", "B3LYPG", "PBE", "PBE0", "BLYP", "BP86", "TPSS", "TPSSh", "r2SCAN", "M06-2X", "wB97X-D3BJ",
    "wB97X-V", "wB97M-V", "B97M-V", "CAM-B3LYP", "revPBE", "PW6B95", "SVWN", "HF",
)  # fmt: skip
"""Offered when a name is misspelt; every name PySCF knows is accepted."""

COMMON_BASES = (
    "def2-SVP", "def2-TZVP", "def2-TZVPP", "def2-QZVP", "def2-TZVPD", "cc-pVDZ", "cc-pVTZ", "aug-cc-pVDZ",
    "aug-cc-pVTZ", "6-31G", "6-31G*", "6-31G**", "6-31G(2df,p)", "6-311G(d,p)", "6-311+G(d,p)", "STO-3G",
    "3-21G",
)  # fmt: skip


@dataclass(frozen=True)
class ScfSettings:
    """Grids and thresholds of a calculation, chosen by `benchmarks/qm9_level_settings.py`."""

    grid_level: int = 2
    """angular points of PySCF's atomic grids, 0 to 9, on the grid of energies and forces"""
    radial_grid_level: int = 1
    """the same for radial points"""
    meta_gga_grid_level: int = 5
    """of both for meta-GGAs; at 4, forces are still off by 2e-4 a.u. with r2SCAN (1e-5 with M06-2X)"""
    partition: str = "stratmann"
    """of space between the atoms: stratmann or becke, PySCF's default"""
    coarse_grid_level: int = 0
    """of the grid on which the SCF cycles run, corrected by the other one; results do not depend on it"""
    conv_tol_eh: float = 1e-7
    """largest change of the energy between the last two cycles"""
    conv_tol_gradient: float = 1e-4
    """largest norm of the orbital gradient"""
    max_cycles: int = 60
    """of each attempt: plain DIIS, then level shift and damping, then second order"""
    fitting_beta: float = 2.6
    """ratio of neighbouring exponents of the even-tempered fitting basis at the level qm9 (PySCF: 2)"""


def validate(level: Level) -> None:
    """Raise ValueError with one sentence where functional, basis or dispersion are unknown to PySCF."""
    if level.method.lower() == QM9:
        if level.basis or level.dispersion or level.solvent:
            raise ValueError(
                "the level qm9 fixes functional, basis and dispersion, in the gas phase; leave them out"
            )
        return
    _validate_functional(level.method)
    validate_basis(level.basis)
    _validate_dispersion(level)
    if level.solvent:
        smd_name(level.solvent)


def settings(level: Level) -> dict[str, Any]:
    """What the numbers depend on beside the level's own words."""
    packages = ("pyscf", "pyscf-dispersion") if level.dispersion else ("pyscf",)
    return {
        "density_fitting": level.density_fitting,
        **dataclasses.asdict(scf_settings(level)),
        "versions": versions(*packages),
    }


def calculator(level: Level, charge: int, multiplicity: int, threads: int) -> Calculator:
    """PySCF as an ASE calculator; see `pyscf_scf.PySCF`."""
    from prerelax.engines.pyscf.scf import PySCF

    return PySCF(level, charge, multiplicity, threads, scf_settings(level))


def scf_settings(level: Level) -> ScfSettings:
    """Forces to 2e-5 a.u. (0.001 eV/Å) of the grid's limit; to 5e-6 where the level is tight."""
    return ScfSettings(radial_grid_level=2, conv_tol_gradient=3e-5) if level.tight else ScfSettings()


def functional_proper(method: str) -> str:
    """The functional of a method that may name its dispersion too, e.g. wb97x-d3bj. Raises ValueError."""
    from pyscf.scf.dispersion import parse_dft

    try:
        functional: str = parse_dft(method)[0]
    except NotImplementedError as error:
        raise ValueError(f"PySCF: {error}") from error
    return functional


def _validate_functional(method: str) -> None:
    from pyscf.dft import libxc

    try:
        if not method.strip():
            raise KeyError(method)
        libxc.parse_xc(functional_proper(method))
    except KeyError:
        if method.lower().startswith("gfn"):
            raise ValueError(f"{method} is a method of the engine tblite, not of pyscf") from None
        hint = nearest(method, (*COMMON_FUNCTIONALS, QM9)) or nearest(method, libxc.XC_CODES)
        raise ValueError(f"PySCF knows no functional '{method}'{hint}") from None


def validate_basis(basis: str | None) -> None:
    """Raise ValueError with one sentence where PySCF has no basis of this name."""
    from pyscf import gto

    if not basis:
        raise ValueError(
            "the engine pyscf needs a basis, e.g. 'def2-TZVP' (only the level qm9 brings its own)"
        )
    if "\n" in basis or Path(basis).is_file():
        raise ValueError(f"basis '{basis}' is a file or a text; give the name of a basis that PySCF knows")
    # PySCF reads only the part of a Pople set's polarisation that the element needs, so both parts are tried.
    candidates = ("H", "C") if "(" in basis else ("H", "C", "O", "Na", "Fe", "I")
    combine = all if "(" in basis else any
    if not combine(has_basis(basis, symbol) for symbol in candidates):
        hint = nearest(basis, COMMON_BASES) or nearest(basis, gto.basis.ALIAS)
        raise ValueError(f"PySCF knows no basis '{basis}'{hint}")


def has_basis(basis: str, symbol: str) -> bool:
    """Whether PySCF has functions of the named basis for this element."""
    from pyscf import gto

    return _loads(gto.basis.load, basis, symbol)


def has_core_potential(basis: str, symbol: str) -> bool:
    """Whether the named basis replaces this element's core electrons by a potential."""
    from pyscf import gto

    return _loads(gto.basis.load_ecp, basis, symbol)


def _loads(load: Callable[[str, str], Any], basis: str, symbol: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(load(basis, symbol))
        except (
            Exception
        ):  # PySCF 2.14 answers with KeyError, FileNotFoundError, RuntimeError, BasisNotFoundError
            return False


def _validate_dispersion(level: Level) -> None:
    if level.dispersion is None:
        return
    version = level.dispersion.lower()
    if version not in DISPERSIONS:
        hint = nearest(version, DISPERSIONS) or f"; known are {', '.join(DISPERSIONS)}"
        raise ValueError(f"unknown dispersion '{level.dispersion}'{hint}")
    if functional_proper(level.method).lower() != level.method.lower():
        raise ValueError(f"{level.method} names its dispersion already; leave out '{level.dispersion}'")
    _try_dispersion(version, level.method)


def dispersion_functional(method: str) -> str:
    """The name under which D3 and D4 list a functional: they know one B3LYP, whatever its VWN."""
    name = method.lower().replace("-", "")
    return "b3lyp" if name in ("b3lypg", "b3lyp5", "b3lyp3") else name


def _try_dispersion(version: str, method: str) -> None:
    from pyscf import gto
    from pyscf.dispersion import dftd3, dftd4

    hydrogen = gto.M(atom="H 0 0 0; H 0 0 0.74", basis="sto-3g", verbose=0)
    functional = dispersion_functional(method)
    try:
        if version == "d4":
            dftd4.DFTD4Dispersion(hydrogen, xc=functional)
        else:
            dftd3.DFTD3Dispersion(hydrogen, xc=functional, version=version)
    except RuntimeError as error:
        raise ValueError(f"there are no {version} parameters for {method}: {error}") from error
