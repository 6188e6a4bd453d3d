"""How far above its minimum a denoised start is expected to lie, before any gradient is known.

One more network call changes the bonds and 1-3 distances of what the calls before it made. With a spring on
each of them the change has an energy. A network undoes only a part of what it left, so the energy is
multiplied by a factor, which is calibrated on molecules whose minima are known. Torsions have no springs:
they move far for little energy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.units import kcal, mol
from numpy.typing import NDArray

from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.denoisers.model_config import Confidence
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.diffusion.one_more_call import Changes, changes_of_distances
from prerelax.diffusion.samplers import SamplerInput, topology

BOND_EV_ANG2 = 35.0
"""Force constant of a bond, between those of C–C (28) and C=O (75); C–H has 30."""
ANGLE_EV_ANG2 = 6.0
"""Of a 1-3 distance: 0.8 mdyn Å/rad² of a bend, which lengthens the distance by about 0.9 Å/rad."""


def energies_left_kcal_mol(model: LoadedModel, changes: Sequence[Changes]) -> NDArray[np.float64]:
    """Expected energies [n_molecules] in kcal/mol of geometries that `model` made above their minima.

    `changes` are what one more call of it would change. nan for a model that is not calibrated, and where it
    would change nothing: no bond, or elements that it does not know.
    """
    factor = (model.config.get("confidence") or Confidence()).get("energy_factor", np.nan)
    energies: NDArray[np.float64] = factor * spring_energies(changes)
    return energies


def energy_calibration(
    model: LoadedModel,
    ends: Sequence[SamplerInput],
    minima: Sequence[NDArray[np.floating]],
    changes: Sequence[Changes],
) -> Confidence:
    """`energy_factor`, by which the energy of one more call is less than that of the way to the minimum.

    The median over geometries that the model made (`ends`), whose `minima` [n_atoms, 3] Å are known and of
    which one more call would change `changes`. Empty
    for MoreRed models: their samplers go on until a call changes next to nothing, so that what one more would
    change does not tell how much is left.
    """
    if isinstance(model.schedule, MoreRedSchedule):
        return {}
    asked = spring_energies(changes)
    errors = [
        changes_of_distances(topology(end), np.asarray(end.positions), np.asarray(minimum))
        for end, minimum in zip(ends, minima, strict=True)
    ]
    ratio = spring_energies(errors) / np.where(asked > 0, asked, np.nan)
    return {"energy_factor": round(float(np.nanmedian(ratio)), 2)} if np.isfinite(ratio).any() else {}


def spring_energies(changes: Sequence[Changes]) -> NDArray[np.float64]:
    """kcal/mol [n_molecules]; nan where there is no bond."""
    ev = [
        (BOND_EV_ANG2 * bonds @ bonds + ANGLE_EV_ANG2 * angles @ angles) / 2 if len(bonds) else np.nan
        for bonds, angles in changes
    ]
    energies: NDArray[np.float64] = np.array(ev, dtype=float) * (mol / kcal)
    return energies
