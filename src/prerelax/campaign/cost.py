"""What a molecule costs at each stage, as power laws of its electrons: guessed first, then fitted.

The seconds of a relaxation are gradients × seconds of one. Seconds of a gradient belong to the target,
whatever the start; the number of gradients belongs to the start. Both are fitted to finished shards, and
scaled so that the fitted molecules cost in sum what they did cost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from prerelax.campaign.sizes import electrons_of_smiles
from prerelax.campaign.stages import Stage, finished_shards, shard_path
from prerelax.engines import engine_named
from prerelax.records.seal import table_path

Floats = NDArray[np.float64]

REFERENCE_ELECTRONS = 60.0
"""An organic molecule of 18 atoms."""
MOST_SHARDS = 40
"""Read for a fit; of more, evenly spaced ones."""
FEWEST_ROWS = 5
"""A fit to fewer is none."""
_WIDE = 1.5
"""Sizes have to differ by this factor for an exponent to be fitted."""


@dataclass(frozen=True)
class PowerLaw:
    """value = at_reference · (electrons / REFERENCE_ELECTRONS)^exponent"""

    at_reference: float
    exponent: float
    n_fitted: int = 0
    """rows behind it; 0: a first guess"""

    def __call__(self, electrons: Floats) -> Floats:
        return self.at_reference * (electrons / REFERENCE_ELECTRONS) ** self.exponent

    def fitted(self, electrons: Floats, values: Floats, fewest: int = FEWEST_ROWS) -> "PowerLaw":
        """The law for these molecules; this one where they are too few, its exponent where too alike."""
        usable = np.isfinite(electrons) & np.isfinite(values) & (electrons > 0) & (values > 0)
        electrons, values = electrons[usable], values[usable]
        if len(values) < fewest:
            return self
        exponent = self.exponent
        low, high = np.quantile(electrons, [0.05, 0.95])
        if high > _WIDE * low and len(values) >= FEWEST_ROWS:
            exponent = float(np.clip(np.polyfit(np.log(electrons), np.log(values), 1)[0], 0.0, 4.0))
        shape = (electrons / REFERENCE_ELECTRONS) ** exponent
        return PowerLaw(float(values.sum() / shape.sum()), exponent, len(values))


GRADIENTS = {
    "embed": PowerLaw(45.0, 0.5),
    "forcefield": PowerLaw(26.0, 0.5),
    "diffuse": PowerLaw(20.0, 0.5),
    "relax": PowerLaw(14.0, 0.5),
}
"""ASE's BFGS to 0.03 eV/Å from a start of this kind."""
SECONDS = {
    "embed": PowerLaw(0.02, 1.5),
    "forcefield": PowerLaw(0.02, 1.5),
    "diffuse": PowerLaw(0.15, 1.7),
    "sample": PowerLaw(60.0, 1.7),
    "keep": PowerLaw(0.02, 1.5),
}
"""Of a molecule on one core; the denoiser: 50 network calls."""


@dataclass(frozen=True)
class Cost:
    """Seconds of a molecule at one stage, on one core (or one GPU where a finished `diffuse` used it)."""

    seconds: PowerLaw
    gradients: PowerLaw | None = None
    """`seconds` are of one gradient where this is given"""

    def __call__(self, electrons: Floats) -> Floats:
        """Seconds [n] for molecules of these electrons [n]."""
        each = self.seconds(electrons)
        return each if self.gradients is None else each * self.gradients(electrons)

    @property
    def source(self) -> str:
        """What it rests on, in words."""
        laws = [self.seconds] if self.gradients is None else [self.seconds, self.gradients]
        if not any(law.n_fitted for law in laws):
            return "first guess"
        if len(laws) == 1 or all(law.n_fitted for law in laws):
            return f"{laws[-1].n_fitted} molecules of this campaign"
        return "gradients timed, their number guessed"


CHEAP_CALCULATOR = PowerLaw(0.03, 1.0)
"""A gradient of a potential or of MOPAC behind the engine ase."""


def gradient_law(engine: str) -> PowerLaw:
    """Seconds of a gradient on one core by the engine's own first guess."""
    return PowerLaw(*engine_named(engine).gradient_s)


def _guessed_gradient(stage: Stage) -> PowerLaw:
    is_potential = stage.engine == "ase" and stage.rule == "relax_xtb"
    return CHEAP_CALCULATOR if is_potential else gradient_law(stage.engine)


def costs(
    campaign_stages: Iterable[Stage],
    results: Path,
    n_shards: int,
    timed: Mapping[tuple[str, str], PowerLaw] | None = None,
) -> dict[str, Cost]:
    """What a molecule costs at every stage, by the stage's name, from finished shards where there are any.

    `timed`: seconds of a gradient measured beforehand, by engine and method.
    """
    every = list(campaign_stages)
    tables = {stage.name: _finished_rows(results, stage, n_shards) for stage in every}
    kinds = {stage.name: stage.kind for stage in every}
    kinds |= {stage.name: kinds[stage.source or ""] for stage in every if stage.kind == "keep"}
    found = {}
    for stage in every:
        table = tables[stage.name]
        if not stage.has_journal:
            law = SECONDS.get(stage.kind, SECONDS["embed"]).fitted(table.electrons, table.wall_s)
            found[stage.name] = Cost(law)
            continue
        same_level = [tables[s.name] for s in every if (s.engine, s.method) == (stage.engine, stage.method)]
        guess = (timed or {}).get((stage.engine, stage.method)) or _guessed_gradient(stage)
        seconds = guess.fitted(
            np.concatenate([t.electrons for t in same_level]),
            np.concatenate([t.wall_s / np.maximum(t.n_gradients, 1) for t in same_level]),
        )
        before = GRADIENTS.get(kinds[stage.source or ""], GRADIENTS["embed"])
        before = PowerLaw(1.0, 0.0) if stage.kind == "points" else before
        gradients = before.fitted(table.electrons, table.n_gradients)
        found[stage.name] = Cost(seconds, gradients)
    return found


@dataclass(frozen=True)
class _Rows:
    """Finished molecules of a stage, [n] each."""

    electrons: Floats
    wall_s: Floats
    n_gradients: Floats


def _finished_rows(results: Path, stage: Stage, n_shards: int) -> _Rows:
    numbers = finished_shards(results, stage, n_shards)
    chosen = sorted(
        {numbers[i] for i in np.linspace(0, len(numbers) - 1, MOST_SHARDS).astype(int)} if numbers else []
    )
    tables = []
    for number in chosen:
        try:
            path = table_path(shard_path(results, stage, number))
            tables.append(
                pq.read_table(path, columns=["smiles", "wall_s", "n_gradients", "n_gradients_cheap"])
            )
        except (OSError, pa.ArrowException):
            continue  # a damaged table is what `prerelax status` tells of; the others will do
    table = pa.concat_tables(tables) if tables else None
    if table is None:
        return _Rows(*[np.zeros(0)] * 3)
    column = "n_gradients_cheap" if stage.name.startswith("starts/") else "n_gradients"
    wall_s, n_gradients = (
        table[name].to_pandas().to_numpy(dtype=float, na_value=np.nan) for name in ("wall_s", column)
    )
    treated = (wall_s > 0) & ((n_gradients > 0) if stage.has_journal else True)
    smiles = table["smiles"].to_pandas()[treated].tolist()
    return _Rows(electrons_of_smiles(smiles), wall_s[treated], n_gradients[treated])
