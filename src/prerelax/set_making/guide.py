"""What relaxations of a pilot teach two-level of a level: read from their trajectories."""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from prerelax.engines import EngineError
from prerelax.errors import UserError
from prerelax.molecules.topology import bonds_from_geometry
from prerelax.records.settings import level_name
from prerelax.relaxation.cheap_surface import MODEL, CheapSurface
from prerelax.relaxation.expected_difference import expected_of
from prerelax.relaxation.learned_difference import LearnedDifference, SeenPath, fitted, is_probable
from prerelax.relaxation.primitives import primitives
from prerelax.relaxation.single_points import Frame, read_frames
from prerelax.relaxation.two_level import without_rigid

FEWEST_MOLECULES = 10
MOST_GRADIENTS = 8
"""of one molecule, the first ones; a large molecule's path costs the cube of it"""
WEIRD_EV_ANG = 3.0
"""Where the levels' gradients differ by more on an atom, one of them has failed."""


def learn_difference(trajectories: Sequence[Path], out: Path, from_kind: bool = True) -> LearnedDifference:
    """Write what the gradients in `trajectories` (`prerelax relax --trajectory`) say of their level.

    Each geometry costs a gradient of the cheap level that guided its relaxation. The beginning is what is
    expected of the kind of method, unless `from_kind` is False. Left out are geometries with other bonds than
    the molecule's first one, those that the cheap level cannot treat, and molecules that no terms by type
    explain (`is_probable`). Raises UserError for files of several levels, relaxations without a guide, and
    fewer than FEWEST_MOLECULES molecules.
    """
    frames = [(path, frame) for path in trajectories for frame in read_frames(path)]
    level, guide = level_and_guide(frames)
    said = json.loads(frames[0][1].record.settings or "{}")
    beginning = expected_of(said["engine"], said["method"], guide) if from_kind else None
    paths = []
    for _, found in groupby(frames, key=lambda each: (each[0], each[1].molecule)):
        path = seen([frame for _, frame in found][:MOST_GRADIENTS], guide)
        if path is not None:
            paths.append(path)
    if len(paths) < FEWEST_MOLECULES:
        raise UserError(
            f"{trajectories[0]}: relaxations of {len(paths)} molecules are too few to learn a level from, at "
            f"least {FEWEST_MOLECULES} are needed"
        )
    n_gradients = sum(len(path.places) for path in paths)
    learned = LearnedDifference(level, guide, len(paths), n_gradients, fitted(paths, beginning))
    learned.write(out)
    return learned


def level_and_guide(frames: Sequence[tuple[Path, Frame]]) -> tuple[str, str]:
    """The one level of all frames, and the name of the cheap level that guided them."""
    known: dict[tuple[str, str], Path] = {}
    for path, frame in frames:
        said = json.loads(frame.record.settings or "{}")
        if frame.forces is None or said.get("optimizer") != "two-level":
            raise UserError(
                f"{path} holds no relaxation by two-level; write it by `prerelax relax --trajectory`"
            )
        guide = said.get("hessian")
        if not isinstance(guide, str) or guide == MODEL:
            raise UserError(f"{path}: a guide is learned for the cheap levels gfn1, gfn2 and mmff94 only")
        known[level_name(said), guide] = path
    if not known:
        raise UserError("the trajectories are empty")
    if len(known) > 1:
        words = " and ".join(f"{level} with {guide} ({path})" for (level, guide), path in known.items())
        raise UserError(f"the trajectories are of several levels: {words}")
    return next(iter(known))


def seen(frames: Sequence[Frame], guide: str) -> SeenPath | None:
    """One molecule's differences of gradients; None where there is none, or none that teaches anything."""
    first = frames[0].record
    if len(first.numbers) < 2:
        return None
    bonded = bonds_from_geometry(first.numbers, first.positions)
    surface = CheapSurface(guide, first.numbers, first.charge, first.multiplicity)
    places, differences = [], []
    try:
        for frame in frames:
            positions, forces = frame.record.positions, frame.forces
            if forces is None or not np.array_equal(bonds_from_geometry(first.numbers, positions), bonded):
                continue
            x = positions.ravel()
            try:
                difference = -forces.ravel() - surface(x)[1]
            except EngineError:
                continue
            if np.linalg.norm(difference.reshape(-1, 3), axis=1).max() < WEIRD_EV_ANG:
                places.append(x)
                differences.append(without_rigid(difference, x))
    finally:
        surface.close()
    if not places:
        return None
    coordinates = primitives(first.numbers, places[0].reshape(-1, 3))
    path = SeenPath(coordinates, np.array(places), np.array(differences))
    return path if is_probable(path) else None
