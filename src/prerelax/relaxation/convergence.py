"""When a geometry counts as a minimum: the field's criteria.

The largest force alone stops relaxations early where the surface is flat: at 0.03 eV/Å floppy molecules lie
up to 1 kcal/mol above their minimum. The four criteria (largest and root-mean-square gradient and step) are
those of Gaussian's manual: `opt=loose`, the default and `opt=tight`. Imports nothing heavy.
"""

from dataclasses import dataclass
from typing import Literal

Convergence = Literal["normal", "tight", "loose", "papers"]
Meets = Literal["none", "loose", "default", "tight"]
"""Which of Gaussian's sets of criteria a geometry meets, the strictest."""

PAPERS_FMAX_EV_ANG = 0.03


@dataclass(frozen=True)
class Criteria:
    """Limits below which a geometry is converged."""

    gradient_max: float
    gradient_rms: float
    """Hartree/bohr, over Cartesian components"""
    step_max: float
    step_rms: float
    """bohr, of the step to the minimum that the model expects"""
    energy_left_kcal_mol: float | None = None


NORMAL = Criteria(4.5e-4, 3.0e-4, 1.8e-3, 1.2e-3, 0.02)
CRITERIA: dict[Convergence, Criteria] = {
    "normal": NORMAL,
    "tight": Criteria(4.5e-5, 3.0e-5, 1.8e-4, 1.2e-4, 0.02),
    "loose": Criteria(2.5e-3, 1.7e-3, 1.0e-2, 6.7e-3),
}
"""`papers` is the largest force alone, PAPERS_FMAX_EV_ANG."""
GAUSSIAN: dict[Meets, Criteria] = {
    "loose": Criteria(2.5e-3, 1.7e-3, 1.0e-2, 6.7e-3),
    "default": Criteria(4.5e-4, 3.0e-4, 1.8e-3, 1.2e-3),
    "tight": Criteria(1.5e-5, 1.0e-5, 6.0e-5, 4.0e-5),
}
