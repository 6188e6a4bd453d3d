"""Energies along denoisers' relaxation paths above the molecules' minima (paper E, figure 4)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from prerelax.comparison.minima import Minimum, Molecule, read_minima
from prerelax.comparison.pairs import KCAL_MOL
from prerelax.comparison.statistics import mean_interval, per_molecule
from prerelax.relaxation.single_points import Frame
from prerelax.studies.evaluated_paths import objections, path_objection, read_molecule_paths

PAPER_START_KCAL_MOL, PAPER_END_KCAL_MOL = 10.0, 1.0
"""Paper E, figure 4: mean over 45 molecules at B3LYP/6-31G(2df,p), for every n."""

OWN, ZERO = "own minimum", "data set's minimum"
COLUMNS = ["start", "id", "conformer", "call", "calls_left", "energy_ev", "zero", "above_kcal_mol"]


@dataclass(frozen=True)
class Paths:
    """Energies of paths, and what is not among them."""

    table: pd.DataFrame
    """one row for each geometry and zero, COLUMNS; `calls_left` is 0 at the path's end"""
    left_out: dict[str, dict[str, int]]
    """for each start how many molecules are left out, by reason"""


def read_paths(results: Path, target: str, starts: Sequence[str], zero: str | None) -> Paths:
    """The paths of `starts` (`results/energies/<target>`) above their minima (`results/relaxed/<target>`).

    Every geometry has a row above the minimum that the path's own end relaxed to and, with `zero`, one above
    the minimum reached from the start of that name, the paper's zero (the data set's geometry). A molecule
    counts where all its geometries have an energy and its minima are converged with bonds kept. Raises
    ShardError where files are missing.
    """
    rows: list[dict[str, object]] = []
    left_out: dict[str, dict[str, int]] = {}
    zeros = {} if zero is None else read_minima(results / "relaxed" / target / zero)
    for start in starts:
        own = read_minima(results / "relaxed" / target / start)
        read = read_molecule_paths(results / "energies" / target / start)
        reasons = left_out.setdefault(start, {} if read else objections(own))
        for molecule, path in read:
            minima = {OWN: own.get(molecule)} | ({ZERO: zeros.get(molecule)} if zero else {})
            objection = path_objection(path) or _objection(minima)
            if objection:
                reasons[objection] = reasons.get(objection, 0) + 1
                continue
            rows += _rows(start, molecule, path, minima)
    return Paths(pd.DataFrame(rows, columns=COLUMNS), left_out)


def _objection(minima: Mapping[str, Minimum | None]) -> str:
    for zero, minimum in minima.items():
        if minimum is None or minimum.objection:
            return f"{zero}: {minimum.objection if minimum else 'not relaxed'}"
    return ""


def _rows(
    start: str, molecule: Molecule, path: Sequence[Frame], minima: Mapping[str, Minimum | None]
) -> Iterable[dict[str, object]]:
    for zero, minimum in minima.items():
        assert minimum is not None
        for frame in path:
            assert frame.energy_ev is not None
            yield {
                "start": start,
                "id": molecule[0],
                "conformer": molecule[1],
                "call": frame.call,
                "calls_left": path[-1].call - frame.call,
                "energy_ev": frame.energy_ev,
                "zero": zero,
                "above_kcal_mol": (frame.energy_ev - minimum.energy_ev) / KCAL_MOL,
            }


def summarise_paths(paths: Paths) -> pd.DataFrame:
    """Mean energy above the minimum at each path's beginning and end, with 95 % intervals over molecules.

    Conformers of a molecule are averaged. The paper's numbers stand beside ours in `paper_kcal_mol`.
    """
    rows = []
    for (start, zero), path in paths.table.groupby(["start", "zero"], sort=False):
        ends = {
            "start": (path[path["call"] == 0], PAPER_START_KCAL_MOL),
            "end": (path[path["calls_left"] == 0], PAPER_END_KCAL_MOL),
        }
        for where, (geometries, paper) in ends.items():
            values = per_molecule(geometries["above_kcal_mol"], geometries["id"])
            low, high = mean_interval(values)
            rows.append(
                {
                    "start": start,
                    "zero": zero,
                    "where": where,
                    "n": len(values),
                    "mean_kcal_mol": values.mean(),
                    "ci_low": low,
                    "ci_high": high,
                    "median_kcal_mol": np.median(values),
                    "paper_kcal_mol": paper,
                }
            )
    names = ["start", "zero", "where", "n", "mean_kcal_mol", "ci_low", "ci_high", "median_kcal_mol"]
    return pd.DataFrame(rows, columns=[*names, "paper_kcal_mol"])
