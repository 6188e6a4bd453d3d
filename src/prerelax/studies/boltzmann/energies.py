"""Energies of repeated denoising steps and of Metropolis chains, read from a study's files."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from prerelax.molecules.status import PROCEED
from prerelax.records.shard import ShardError, read_shard
from prerelax.relaxation.preconditioned import internal_space
from prerelax.relaxation.single_points import read_frames
from prerelax.studies.boltzmann.autocorrelation import standard_error, statistical_inefficiency
from prerelax.studies.boltzmann.metropolis_chains import read_chain_rows

METROPOLIS, DIFFUSION = "Metropolis", "diffusion"
MIN_ENERGIES = 10
"""fewer make no distribution"""


@dataclass(frozen=True)
class Sample:
    """Energies of one molecule at one temperature or step, of all its conformers and replicas."""

    id: str
    kind: str
    """METROPOLIS or DIFFUSION"""
    label: float
    """temperature in K, or step n"""
    chains_ev: tuple[NDArray[np.float64], ...]
    n_modes: int
    acceptance: float = math.nan
    step_ang: float = math.nan

    @property
    def energies_ev(self) -> NDArray[np.float64]:
        return np.concatenate(self.chains_ev)

    @property
    def error_ev(self) -> float:
        """Standard error of the mean, autocorrelation within each chain counted."""
        sizes = np.array([len(chain) for chain in self.chains_ev])
        errors = np.array([standard_error(chain) for chain in self.chains_ev])
        return float(np.sqrt(((sizes * errors) ** 2).sum()) / sizes.sum())

    @property
    def n_independent(self) -> float:
        return float(sum(len(chain) / statistical_inefficiency(chain) for chain in self.chains_ev))


class Chains(NamedTuple):
    """Of one step n."""

    broken: int
    n: int
    repeats: int
    """that each chain was asked for"""


@dataclass(frozen=True)
class Energies:
    """All samples, what is not among them, and what they cost."""

    samples: list[Sample]
    left_out: dict[str, int]
    """chains and geometries without energies, by what happened"""
    seconds_per_thousand: dict[str, float]
    """of energies, on one worker, by kind"""
    network: dict[float, Chains] = field(default_factory=dict)
    """chains of the denoising step, by n"""
    control: dict[float, Chains] = field(default_factory=dict)
    """chains of the step's noise alone, by n"""


def read_energies(
    metropolis: Sequence[Path],
    diffusion: Sequence[Path],
    rows: Sequence[Path] = (),
    control: Sequence[Path] = (),
) -> Energies:
    """Chains of `prerelax study boltzmann`: of its step metropolis, evaluated frames and rows of its step
    repeat, and rows of the scheme `perturb`.

    A molecule needs its id alone to be recognised. Raises ShardError for other files.
    """
    left_out: Counter[str] = Counter()
    seconds: dict[str, list[float]] = {METROPOLIS: [0.0, 0.0], DIFFUSION: [0.0, 0.0]}
    found: dict[tuple[str, str, float], list[Sample]] = {}
    for sample, wall_s, n in [*_metropolis(metropolis, left_out), *_diffusion(diffusion, left_out)]:
        found.setdefault((sample.id, sample.kind, sample.label), []).append(sample)
        seconds[sample.kind][0] += wall_s
        seconds[sample.kind][1] += n
    for path in rows:
        left_out.update(f"{row.start}: {row.status}" for row in read_shard(path) if row.status not in PROCEED)
    samples = [_joined(parts) for parts in found.values()]
    samples.sort(key=lambda sample: (sample.id, sample.kind, sample.label))
    per_thousand = {kind: 1000 * s / n for kind, (s, n) in seconds.items() if n}
    return Energies(samples, dict(left_out), per_thousand, _chains(rows), _chains(control))


def _chains(paths: Sequence[Path]) -> dict[float, Chains]:
    found = {}
    for path in paths:
        rows = [row for row in read_shard(path) if row.status in ("ok", "connectivity_changed")]
        if rows:
            broken = sum(row.status == "connectivity_changed" for row in rows)
            repeats = int(json.loads(rows[0].settings or "{}")["repeats"])
            found[step_of_start(rows[0].start, path)] = Chains(broken, len(rows), repeats)
    return found


def _metropolis(paths: Sequence[Path], left_out: "Counter[str]") -> list[tuple[Sample, float, int]]:
    read: list[tuple[Sample, float, int]] = []
    for row in (row for path in paths for row in read_chain_rows(path)):
        if row.status != "ok" or len(row.energies_ev) < MIN_ENERGIES:
            left_out[f"{row.temperature_k:g} K: {row.status if row.status != 'ok' else 'too short'}"] += 1
            continue
        sample = Sample(
            row.id,
            METROPOLIS,
            row.temperature_k,
            (row.energies_ev,),
            row.n_modes,
            row.acceptance,
            row.step_ang,
        )
        read.append((sample, row.wall_s, int(json.loads(row.settings)["steps"])))
    return read


def _diffusion(paths: Sequence[Path], left_out: "Counter[str]") -> list[tuple[Sample, float, int]]:
    chains: dict[tuple[str, int, float], list[float]] = {}
    modes: dict[str, int] = {}
    wall_s: defaultdict[tuple[str, int, float], float] = defaultdict(float)
    for path in paths:
        for frame in read_frames(path):
            record = frame.record
            if frame.energy_ev is None:
                left_out[f"{record.start}: geometries {record.status}"] += 1
                continue
            key = (*frame.molecule, step_of_start(record.start, path))
            chains.setdefault(key, []).append(frame.energy_ev)
            wall_s[key] += record.wall_s
            modes.setdefault(record.id, internal_space(record.positions).shape[1])
    read: list[tuple[Sample, float, int]] = []
    for (name, conformer, n), energies in chains.items():
        if len(energies) < MIN_ENERGIES:
            left_out[f"step-n{n:g}: too short"] += 1
            continue
        sample = Sample(name, DIFFUSION, n, (np.array(energies),), modes[name])
        read.append((sample, wall_s[name, conformer, n], len(energies)))
    return read


def step_of_start(start: str, path: Path) -> float:
    """The n of a start's name. Raises ShardError for a start that is no repeated step."""
    found = re.fullmatch(r"step-n(\d+)", start)
    if not found:
        raise ShardError(f"{path}: holds geometries of {start}, none of a repeated step")
    return float(found[1])


def _joined(parts: Sequence[Sample]) -> Sample:
    first = parts[0]
    chains = tuple(chain for part in parts for chain in part.chains_ev)
    acceptance = float(np.mean([part.acceptance for part in parts]))
    step = float(np.mean([part.step_ang for part in parts]))
    return Sample(first.id, first.kind, first.label, chains, first.n_modes, acceptance, step)
