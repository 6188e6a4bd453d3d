"""Where a denoiser's steps point: along the forces, or straight to the minimum (paper E, figure 6)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prerelax.comparison.minima import read_minima
from prerelax.comparison.statistics import mean_interval
from prerelax.molecules.superposition import superimposed
from prerelax.relaxation.single_points import Frame
from prerelax.studies.evaluated_paths import objections, path_objection, read_molecule_paths

MEASURES = ("steps_forces", "steps_path", "forces_path")
"""Cosines between: the sum of the next k steps and the forces; that sum and the direct path to the minimum;
the forces and that path."""
COLUMNS = ["start", "id", "conformer", "k", "call", "calls_left", *MEASURES]
SHORTEST = 1e-9
"""Vectors shorter than this (Å, eV/Å) have no direction; their atoms are left out of the mean."""


@dataclass(frozen=True)
class Alignment:
    """Cosines along paths, and what is not among them."""

    table: pd.DataFrame
    """one row for each start, molecule, k and geometry with k steps to come, COLUMNS"""
    left_out: dict[str, dict[str, int]]


def read_alignment(results: Path, target: str, starts: Sequence[str], sums: Sequence[int]) -> Alignment:
    """Cosines along the paths of `starts` that were evaluated in `results/energies/<target>`.

    The minimum is the one that the path's end relaxed to, superimposed on each geometry in turn; molecules
    count as in `read_paths`. Raises ShardError where files are missing.
    """
    rows: list[dict[str, object]] = []
    left_out: dict[str, dict[str, int]] = {}
    for start in starts:
        minima = read_minima(results / "relaxed" / target / start)
        read = read_molecule_paths(results / "energies" / target / start)
        reasons = left_out.setdefault(start, {} if read else objections(minima))
        for molecule, path in read:
            minimum = minima.get(molecule)
            objection = path_objection(path) or (minimum.objection if minimum else "not relaxed")
            if objection or minimum is None:
                reasons[objection] = reasons.get(objection, 0) + 1
                continue
            names = {"start": start, "id": molecule[0], "conformer": molecule[1]}
            rows += [{**names, **row} for row in path_cosines(path, minimum.positions, sums)]
    return Alignment(pd.DataFrame(rows, columns=COLUMNS), left_out)


def path_cosines(
    path: Sequence[Frame], minimum: NDArray[np.floating], sums: Sequence[int]
) -> Iterator[dict[str, float]]:
    """MEASURES, each a mean over atoms, for each k of `sums` and geometry of a path that k steps follow.

    `minimum` [n_atoms, 3] Å. Every geometry of the path needs its forces.
    """
    geometries = np.array([frame.record.positions for frame in path])
    geometries = geometries - geometries.mean(axis=1, keepdims=True)
    forces = np.array([frame.forces for frame in path])
    direct = np.array([superimposed(minimum, geometry) for geometry in geometries]) - geometries
    for k in sums:
        steps = geometries[k:] - geometries[:-k]
        cosines = {
            "steps_forces": mean_cosine(steps, forces[: len(steps)]),
            "steps_path": mean_cosine(steps, direct[: len(steps)]),
            "forces_path": mean_cosine(forces, direct)[: len(steps)],
        }
        for place in range(len(steps)):
            call = {"k": k, "call": path[place].call, "calls_left": path[-1].call - path[place].call}
            yield {**call, **{name: float(values[place]) for name, values in cosines.items()}}


def mean_cosine(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cosines between vectors [..., n_atoms, 3], averaged over atoms; nan where no atom has one."""
    lengths = np.linalg.norm(a, axis=-1), np.linalg.norm(b, axis=-1)
    known = (lengths[0] > SHORTEST) & (lengths[1] > SHORTEST)
    products = np.where(known, (a * b).sum(axis=-1), 0.0)
    cosines = products / np.where(known, lengths[0] * lengths[1], 1.0)
    counts = known.sum(axis=-1)
    return np.where(counts > 0, cosines.sum(axis=-1) / np.maximum(counts, 1), np.nan)


def summarise_alignment(alignment: Alignment) -> pd.DataFrame:
    """For each start and k the means over paths, and by how much the steps follow the direct path rather than
    the forces (`path_minus_forces`), and the forces rather than the forces follow that path
    (`steps_minus_path_at_forces`), each with a 95 % interval over molecules, conformers averaged.
    """
    rows = []
    for (start, k), cosines in alignment.table.groupby(["start", "k"], sort=False):
        molecules = cosines.groupby(["id", "conformer"])[list(MEASURES)].mean().groupby("id").mean()
        difference = (molecules["steps_path"] - molecules["steps_forces"]).to_numpy()
        low, high = mean_interval(difference)
        row: dict[str, object] = {"start": start, "k": k, "n": len(molecules)}
        row |= {name: molecules[name].mean() for name in MEASURES}
        row |= {f"{name}_std": molecules[name].std() for name in MEASURES}
        row |= {"path_minus_forces": difference.mean(), "ci_low": low, "ci_high": high}
        beyond = (molecules["steps_forces"] - molecules["forces_path"]).to_numpy()
        ends = dict(zip(("ci_low", "ci_high"), mean_interval(beyond), strict=True))
        row |= {"steps_minus_path_at_forces": beyond.mean()}
        row |= {f"steps_minus_path_at_forces_{name}": end for name, end in ends.items()}
        rows.append(row | {"conclusion": _conclusion(low, high)})
    return pd.DataFrame(rows)


def _conclusion(low: float, high: float) -> str:
    if low > 0:
        return "path wins"
    return "forces win" if high < 0 else "undecided"
