"""A mean field of PySCF or GPU4PySCF in an implicit solvent."""

from typing import Any

from prerelax.engines.level import Level
from prerelax.engines.solvents import PYSCF_MODELS, smd_name, solvent_model

DIELECTRIC_CONSTANT = 5
"""its column in SMD's table of solvents"""


def in_solvent(mean_field: Any, level: Level) -> Any:
    """The mean field in the level's solvent; after `density_fit`, since PySCF's gradient asks for this order.

    SMD's name of the solvent serves C-PCM and IEF-PCM too: its table has the dielectric constants.
    """
    if not level.solvent:
        return mean_field
    from pyscf.solvent.smd import solvent_db

    name, model = smd_name(level.solvent), solvent_model(level, PYSCF_MODELS)
    if model == "smd":
        solvated = mean_field.SMD()
        solvated.with_solvent.solvent = name
        return solvated
    solvated = mean_field.PCM()
    solvated.with_solvent.method = model.upper()
    solvated.with_solvent.eps = solvent_db[name][DIELECTRIC_CONSTANT]
    return solvated
