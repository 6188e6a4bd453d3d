"""Seconds of a gradient at each level of a campaign, measured on a few of its own molecules."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from prerelax.campaign.config import Campaign
from prerelax.campaign.cost import PowerLaw, gradient_law
from prerelax.campaign.starts import RelaxStart
from prerelax.campaign.targets import Target
from prerelax.molecules.molecule import read_molecules
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.embed import embedded
from prerelax.starts.forcefield import minimised

N_MOLECULES = 3
N_STEPS = 2
_READ = 200


def timed_gradients(
    campaign: Campaign, directory: Path, say: Callable[[str], None]
) -> dict[tuple[str, str], PowerLaw]:
    """Seconds of a gradient by engine and method: a few steps of three molecules on one core.

    The molecules are small, middling and large ones among the first of the input. `say` gets a line for each.
    """
    parts: list[Target | RelaxStart] = list(campaign.targets.values())
    parts += [part for part in campaign.starts.values() if isinstance(part, RelaxStart)]
    records = _molecules(directory / campaign.molecule_file)
    laws: dict[tuple[str, str], PowerLaw] = {}
    for part in parts:
        if (part.engine, part.method) not in laws and records:
            law = _timed(part, records)
            laws[part.engine, part.method] = law
            say(f"{part.engine} {part.method}: {law.at_reference:.2g} s a gradient of 60 electrons on a core")
    return laws


def _molecules(path: Path) -> list[Record]:
    """Up to three molecules of different size at their MMFF94 geometries."""
    usable = [molecule for molecule in read_molecules(path, slice(0, _READ)) if molecule.mol is not None]
    usable.sort(key=lambda molecule: int(molecule.numbers.sum()))
    places = (
        sorted({round(q * (len(usable) - 1)) for q in np.linspace(0.1, 0.9, N_MOLECULES)}) if usable else []
    )
    rows = [minimised(next(embedded(usable[place])), "mmff94", None, "mmff94") for place in places]
    return [replace(row, id=str(number)) for number, row in enumerate(rows) if row.proceeds]


def _timed(part: Target | RelaxStart, records: list[Record]) -> PowerLaw:
    guess = gradient_law(part.engine)
    with tempfile.TemporaryDirectory() as folder:
        inp, out = Path(folder) / "in.extxyz", Path(folder) / "out.extxyz"
        write_shard(inp, records)
        steps = Relaxation(**part.level.model_dump(), optimizer="bfgs", max_steps=N_STEPS)
        relax_shard(inp, out, steps, named=Named(target="timing"), progress=lambda _: None)
        rows = [row for row in read_shard(out) if row.n_gradients]
    electrons = np.array([row.numbers.sum() for row in rows], dtype=float)
    seconds = np.array([row.wall_s / (row.n_gradients or 1) for row in rows])
    return guess.fitted(electrons, seconds, fewest=1)
