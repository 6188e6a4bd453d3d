"""Grids and thresholds of PySCF's calculations."""

from dataclasses import dataclass

from prerelax.engines.level import Level


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


def scf_settings(level: Level) -> ScfSettings:
    """Forces to 2e-5 a.u. (0.001 eV/Å) of the grid's limit; to 5e-6 where the level is tight."""
    return ScfSettings(radial_grid_level=2, conv_tol_gradient=3e-5) if level.tight else ScfSettings()
