"""Seconds of a gradient at each level of a campaign, measured on a few of its own molecules."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from prerelax.campaign.config import Campaign
from prerelax.campaign.cost import PowerLaw, gradient_law
from prerelax.campaign.starts import RelaxStart
from prerelax.campaign.targets import PointsOfMinima, Target
from prerelax.molecules.molecule import Molecule, read_molecules
from prerelax.records.record import Record
from prerelax.relaxation.pool import WorkerPool
from prerelax.relaxation.settings import Relaxation, Resources, SinglePoints
from prerelax.starts.embed import embedded
from prerelax.starts.forcefield import minimised

N_MOLECULES = 3
N_STEPS = 2
MOST_S = 300.0
"""For one molecule; of a level whose molecules take longer only the smaller ones are timed."""
_READ = 200


def timed_gradients(
    campaign: Campaign, directory: Path, say: Callable[[str], None]
) -> dict[tuple[str, str], PowerLaw]:
    """Seconds of a gradient by engine and method: a few steps of three molecules on one core.

    The molecules are small, middling and large ones among the first of the input that the level is to treat
    (`only`), the small ones first, for at most MOST_S each. `say` gets a line for each molecule and level.
    """
    parts: list[Target | RelaxStart | PointsOfMinima] = [*campaign.targets.values()]
    parts += [part for part in campaign.starts.values() if isinstance(part, RelaxStart)]
    parts += campaign.single_points.values()
    read = read_molecules(directory / campaign.molecule_file, slice(0, _READ))
    usable = sorted((m for m in read if m.mol is not None), key=lambda m: int(m.numbers.sum()))
    laws: dict[tuple[str, str], PowerLaw] = {}
    for part in parts:
        name = f"{part.engine} {part.method}"
        allowed = [molecule for molecule in usable if part.only.objection(molecule.numbers) is None]
        if (part.engine, part.method) in laws:
            continue
        if not allowed:
            say(f"{name}: none of the first {len(usable)} molecules is to be treated")
            continue
        law = _timed(part, _chosen(allowed), say)
        laws[part.engine, part.method] = law
        if law.n_fitted:
            say(f"{name}: {law.at_reference:.2g} s a gradient of 60 electrons on a core")
    return laws


def _chosen(usable: Sequence[Molecule]) -> list[Record]:
    """Up to three molecules of different size at their MMFF94 geometries, by size."""
    places = sorted({round(q * (len(usable) - 1)) for q in np.linspace(0.1, 0.9, N_MOLECULES)})
    rows = [minimised(next(embedded(usable[place])), "mmff94", None, "mmff94") for place in places]
    return [row for row in rows if row.proceeds]


def _timed(part: SinglePoints, records: Sequence[Record], say: Callable[[str], None]) -> PowerLaw:
    steps = Relaxation(**part.level.model_dump(), optimizer="bfgs", max_steps=N_STEPS, timeout_s=MOST_S)
    electrons, seconds = [], []
    free = [replace(record, constraints=None) for record in records]
    with WorkerPool(steps, Resources()) as pool:
        for index, result in pool.relax(free):
            numbers = records[index].numbers
            size = f"{part.engine} {part.method}: {records[index].id}, {len(numbers)} atoms"
            if result.n_gradients:
                electrons.append(float(numbers.sum()))
                seconds.append(result.wall_s / result.n_gradients)
                say(f"{size}: {seconds[-1]:.2g} s a gradient")
            else:
                say(f"{size}: {result.message or result.status}")
            if result.status == "timeout":
                break
    return gradient_law(part.engine).fitted(np.array(electrons), np.array(seconds), fewest=1)
