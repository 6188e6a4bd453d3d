"""What is left to fall after a first gradient, with and without what a pilot taught two-level of the level.

    .venv/bin/python benchmarks/learned_guide.py PATHS.extxyz... [--pilot PATHS.extxyz...]

PATHS are trajectories of relaxations by two-level (`prerelax relax --trajectory`). Of each molecule only the
first gradient is taken as known. two-level's next geometry follows from it and, in the second column, from
what the pilot's gradients say; without `--pilot` these are all other molecules of PATHS. The energy there,
above the end of the relaxation, is that of the cheap level with the difference learned from all gradients of
the path. Prints a Markdown table; costs no gradient of the target.
"""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import kcal, mol
from numpy.typing import NDArray

from prerelax.relaxation.cheap_surface import CheapSurface
from prerelax.relaxation.learned_difference import LearnedDifference, SeenPath, fitted
from prerelax.relaxation.level_difference import LevelDifference
from prerelax.relaxation.single_points import Frame, read_frames
from prerelax.relaxation.two_level import TwoLevel
from prerelax.set_making.guide import level_and_guide, seen

Vector = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--pilot", nargs="+", type=Path)
    arguments = parser.parse_args()
    frames = molecules(arguments.paths)
    _, guide = level_and_guide([(path, one) for path in arguments.paths for one in read_frames(path)])
    paths = {name: seen(found, guide) for name, found in frames.items()}
    taught = [seen(found, guide) for found in molecules(arguments.pilot or []).values()]
    print("| molecule | atoms | gradients | start | then | with what was learned |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = []
    for name, found in frames.items():
        others = taught or [each for other, each in paths.items() if other != name]
        learned = LearnedDifference("", guide, 0, 0, fitted([each for each in others if each is not None]))
        path = paths[name]
        if path is None or len(path.places) < 2:
            continue
        rows.append(left(found, path, guide, learned))
        cells = [name, len(found[0].record.numbers), len(found), *(f"{each:.2f}" for each in rows[-1])]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    medians = " | ".join(f"{each:.2f}" for each in np.median(rows, axis=0))
    print(f"| median | | | {medians} |")


def molecules(paths: list[Path]) -> dict[str, list[Frame]]:
    """The frames of each molecule."""
    frames = [frame for path in paths for frame in read_frames(path)]
    return {name: list(found) for (name, _), found in groupby(frames, key=lambda each: each.molecule)}


def left(
    frames: list[Frame], path: SeenPath, guide: str, learned: LearnedDifference
) -> tuple[float, float, float]:
    """kcal/mol above the end: the start, what follows from its gradient, and the same with `learned`."""
    record, forces = frames[0].record, frames[0].forces
    assert forces is not None
    surface = CheapSurface(guide, record.numbers, record.charge, record.multiplicity)
    whole = LevelDifference(path.coordinates, path.places[0])
    for place, difference in zip(path.places, path.differences, strict=True):
        whole.learn(place, difference)

    def height(x: Vector) -> float:
        return (surface(x)[0] + whole(x)[0] - end) * mol / kcal

    end = surface(path.places[-1])[0] + whole(path.places[-1])[0]
    found = []
    for known in (None, learned):
        atoms = Atoms(record.numbers, record.positions)
        atoms.calc = _Known(frames[0].energy_ev or 0.0, forces)
        optimizer = TwoLevel(atoms, surface, learned=known)
        optimizer.step()
        found.append(height(atoms.positions.ravel()))
    return height(path.places[0]), found[0], found[1]


class _Known:
    """The one gradient that is known."""

    def __init__(self, energy_ev: float, forces: NDArray[np.float64]) -> None:
        self.energy_ev, self.forces = energy_ev, forces

    def get_potential_energy(self, atoms: Atoms, force_consistent: bool = False) -> float:
        return self.energy_ev

    def get_forces(self, atoms: Atoms) -> NDArray[np.float64]:
        return self.forces


if __name__ == "__main__":
    main()
