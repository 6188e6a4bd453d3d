"""Paths of denoisers that `prerelax energies` evaluated at a target, as several studies read them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from prerelax.comparison.minima import Minimum, Molecule
from prerelax.relaxation.single_points import Frame, read_frames


def read_molecule_paths(folder: Path) -> list[tuple[Molecule, list[Frame]]]:
    """The frames of every molecule in the shards of a folder, in order."""
    frames = [frame for shard in sorted(folder.glob("*.extxyz")) for frame in read_frames(shard)]
    return [(molecule, list(path)) for molecule, path in groupby(frames, key=lambda frame: frame.molecule)]


def objections(minima: Mapping[Molecule, Minimum]) -> dict[str, int]:
    """How many molecules have no minimum, by reason."""
    return dict(Counter(minimum.objection for minimum in minima.values() if minimum.objection))


def path_objection(path: Sequence[Frame]) -> str:
    """Why a path cannot be used: the status of its first geometry without an energy; empty where it can."""
    return next((frame.record.status for frame in path if frame.energy_ev is None), "")
