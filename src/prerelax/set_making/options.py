"""How training sets are made: options that Python and the command line share. Imports no engine."""

from pydantic import Field

from prerelax.engines.level import Level
from prerelax.relaxation.settings import Only, Relaxation
from prerelax.settings import Settings

TEMPERATURE_K = 1500.0
"""QM7-X's"""
FEWEST_FRAGMENTS = 12
"""Of a pilot: some of them may fail, and `adapt` wants ten."""
LIKE_QM7X = Only(max_heavy_atoms=7, elements=("H", "C", "N", "O", "S", "Cl"))


class MinimaOptions(Settings):
    """Minima of a level, each with the MMFF94 minimum that it was reached from.

    At 0.03 eV/Å the energies of 40 drug-like molecules are 0.14 kcal/mol above those at 0.01 (largest: 0.7),
    and soft torsions have not settled; 0.01 costs 1.4 times the seconds (Hessian of Lindh's model).
    """

    relaxation: Relaxation = Relaxation(
        engine="tblite", method="GFN2-xTB", optimizer="bfgs-hessian", fmax=0.01, max_steps=300
    )
    conformers: int = Field(
        1, ge=1, le=10_000, description="Conformers embedded of each molecule; the lowest minimum is kept"
    )
    seed: int = Field(42, ge=0, description="Random seed of the embedding")


class PilotOptions(Settings):
    """Fragments of molecules; with `count` a few that cover what the molecules are made of."""

    count: int | None = Field(None, ge=1, description="Fragments; default: all, the commonest first")
    max_heavy_atoms: int = Field(8, ge=4, description="Largest fragments among the `count`")

    @property
    def fewest(self) -> int:
        """Fragments without which nothing can be learned."""
        return min(self.count or FEWEST_FRAGMENTS, FEWEST_FRAGMENTS)


class DisplacementOptions(Settings):
    """Minima, displacements along their normal modes, and the level of energies and forces.

    Saddle points are left along their modes, so the optimizer and the check of the minimum are not asked for.
    """

    minima: Relaxation = Relaxation(engine="tblite", method="GFN1-xTB", fmax=0.005, only=LIKE_QM7X)
    labels: Level = Level(engine="tblite", method="GFN2-xTB")
    displacements: int = Field(100, ge=0, description="Displacements of each minimum")
    temperature_k: float = Field(
        TEMPERATURE_K, ge=0, allow_inf_nan=False, description="On average a mode has k_B T/2; QM7-X: 1500 K"
    )
    seed: int = Field(
        0, ge=0, description="Random seed of the displacements, used together with each molecule"
    )
