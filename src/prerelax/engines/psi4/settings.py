"""Grid and thresholds of Psi4's calculations, and how the program is told of them."""

from dataclasses import dataclass

from prerelax.engines.level import Level


@dataclass(frozen=True)
class Psi4Settings:
    """Grid and thresholds of a calculation; those that are not named here are Psi4's own.

    Forces of methanol (B3LYP/def2-SVP) differ by 1e-6 a.u. from those with thresholds of 1e-8, so that these
    serve tight levels too.

    Every shell from d upwards is spherical, whatever a basis file of Psi4 says (its Pople sets are
    Cartesian), so that a basis of one name is one basis in every engine.
    """

    spherical_points: int = 302
    radial_points: int = 75
    e_convergence_eh: float = 1e-7
    d_convergence: float = 1e-6
    """root mean square of DIIS's error vector"""
    max_cycles: int = 100
    """of each attempt: plain DIIS, then second order, then damping"""


def setup(level: Level, chosen: Psi4Settings) -> dict[str, object]:
    """The first line for `server`, but for the memory."""
    return {
        "method": level.method,
        "options": {
            "basis": level.basis,
            "puream": True,
            "scf_type": "df" if level.density_fitting else "pk",
            "dft_spherical_points": chosen.spherical_points,
            "dft_radial_points": chosen.radial_points,
            "e_convergence": chosen.e_convergence_eh,
            "d_convergence": chosen.d_convergence,
            "maxiter": chosen.max_cycles,
        },
    }
