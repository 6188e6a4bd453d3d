"""What a target's energy surface has beyond a cheap level's in every molecule, learned from a pilot.

Each type of stretch, bend and torsion has a small energy function of its own: explicit basis functions in the
mean of the Gaussian process of `level_difference`, their weights with a Gaussian prior (Rasmussen and
Williams, Gaussian Processes for Machine Learning, 2006, section 2.7). A curvature is what a factor of a force
constant is (Pulay et al., J. Am. Chem. Soc. 1983, 105, 7037), a slope what a bond is longer by. A coordinate
has three types, by its atoms with their neighbours, by their elements, and by whether one is hydrogen: what
the pilot lacks in detail is known roughly.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from prerelax.errors import UserError
from prerelax.records.atomic_write import write_text_atomically
from prerelax.relaxation.level_difference import Expected, LevelDifference, Prior
from prerelax.relaxation.primitives import ACROSS, BEND, STRAIGHT, STRETCH, TORSION, WORDS, Primitives

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

WIDTH = 0.5
"""Standard deviations of slopes and curvatures before anything is known, as a share of the process's own."""
TORSION_EV = 0.025
"""The same of a torsion's cos φ; of cos nφ an n-th of it."""
IMPROBABLE = 10.0
"""χ² over the number of components. Of 90 molecules at three levels all have less than 4 but methyl azide,
which has 865 at B3LYP, and pentyne, which has 16 to 58."""
N_TERMS = {STRETCH: 2, BEND: 2, TORSION: 3}


@dataclass(frozen=True)
class SeenPath:
    """Geometries of one molecule, and by what the target's gradients differ from the cheap level's."""

    coordinates: Primitives
    """of the first geometry"""
    places: Matrix
    """[n_points, 3 n_atoms] Å"""
    differences: Matrix
    """[n_points, 3 n_atoms] eV/Å, without net force and torque"""


@dataclass(frozen=True)
class LearnedDifference:
    """Target minus cheap level, by type of coordinate; `prerelax data guide` writes it as JSON."""

    level: str
    """the target's, as `prerelax.records.settings.level_name` has it"""
    guide: str
    """the cheap level's name"""
    n_molecules: int
    n_gradients: int
    terms: Mapping[str, tuple[float, float, float]]
    """by type. Stretches and bends: a value (Å, rad), slope and curvature there (eV by Å or rad and their
    squares). Torsions: eV of cos φ, cos 2φ, cos 3φ, which all those about one bond share"""

    def expected(self, coordinates: Primitives) -> Expected:
        """The sum over the types that each coordinate has; nothing for those that the pilot lacked."""
        n = len(coordinates.names)
        slopes, curvatures, waves = np.zeros(n), np.zeros(n), np.zeros((n, 3))
        for place, (name, kind) in enumerate(zip(coordinates.names, coordinates.kinds, strict=True)):
            types = types_of(name)
            if kind != TORSION and not self.terms.keys() & set(types[:2]):
                continue  # ordinary bonds say little of such
            for of in types:
                found = self.terms.get(of)
                if found is None:
                    continue
                if kind == TORSION:
                    waves[place] += np.array(found) / coordinates.shared[place]
                else:
                    reference, slope, curvature = found
                    slopes[place] += slope - curvature * reference
                    curvatures[place] += curvature
        return Expected(slopes, curvatures, waves)

    def write(self, out: Path) -> None:
        """Write the JSON."""
        text = json.dumps({**asdict(self), "terms": dict(self.terms)}, indent=1)
        write_text_atomically(out, text + "\n")


@lru_cache(maxsize=8)
def read_learned(path: Path) -> LearnedDifference:
    """What `LearnedDifference.write` wrote, read once for a shard. Raises UserError for another file."""
    try:
        found = json.loads(path.read_text())
        terms = {str(name): _three(values) for name, values in found.pop("terms").items()}
        return LearnedDifference(terms=terms, **found)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is not what `prerelax data guide` writes ({type(error).__name__}: {error})"
        ) from None


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    a, b, c = map(float, values)
    if not all(map(math.isfinite, (a, b, c))):
        raise ValueError("a term is no number")
    return a, b, c


def types_of(name: str) -> list[str]:
    """The types that a coordinate counts among, by its name in `Primitives`.

    Contacts, straight bends and the angles across them count among none.
    """
    kind, _, atoms = name.partition(" ")
    if not atoms or kind in (WORDS[STRAIGHT], WORDS[ACROSS]):
        return []
    ends = atoms.split("-")
    ends = ends[1:3] if kind == "torsion" else ends
    fine = "-".join(min(ends, ends[::-1]))
    elements = [re.sub(r"\d", "", end) for end in ends]
    by_element = "-".join(min(elements, elements[::-1]))
    rough = f"{kind} X-H" if "H" in (elements[0], elements[-1]) else kind
    return [f"{kind} {fine}", f"{kind} {by_element}", rough]


def is_probable(path: SeenPath) -> bool:
    """Whether terms by coordinates can say what is seen; else they would be far off, and mislead others."""
    seen = path.differences.ravel()
    factor = cho_factor(_covariance(path))
    return bool(seen @ cho_solve(factor, seen) < IMPROBABLE * len(seen))


def fitted(
    paths: Sequence[SeenPath], beginning: LearnedDifference | None = None
) -> dict[str, tuple[float, float, float]]:
    """The likeliest terms, given how far the difference varies beyond them (`level_difference.Prior`).

    They are `beginning`'s, changed by what the paths say. Types that no path has stay as they are there; the
    others may differ from it as far as, without it, from nothing.
    """
    basis = _Basis(paths)
    information, seen = np.diag(basis.deviations**-2.0), np.zeros(len(basis.deviations))
    for path in paths:
        factor = cho_factor(_covariance(path))
        design = np.vstack([basis.gradients(path.coordinates, place) for place in path.places])
        solved = cho_solve(factor, design)
        information += design.T @ solved
        seen += solved.T @ _unexpected(path, beginning).ravel()
    terms = basis.terms(np.linalg.solve(information, seen).astype(np.float64))
    return terms if beginning is None else _sum(beginning.terms, terms)


def _covariance(path: SeenPath) -> Matrix:
    """[n_points 3 n_atoms, the same] of the differences, by the process alone."""
    difference = LevelDifference(path.coordinates, path.places[0])
    for place in path.places:
        difference.learn(place, np.zeros(place.size))
    return difference.covariance()


def _unexpected(path: SeenPath, beginning: LearnedDifference | None) -> Matrix:
    """[n_points, 3 n_atoms] eV/Å: the differences of gradients that `beginning` does not expect."""
    if beginning is None:
        return path.differences
    coordinates, expected = path.coordinates, beginning.expected(path.coordinates)
    known = [coordinates.derivatives(x).T @ expected(coordinates.values(x))[1] for x in path.places]
    return path.differences - np.array(known)


def _sum(
    terms: Mapping[str, tuple[float, float, float]], more: Mapping[str, tuple[float, float, float]]
) -> dict[str, tuple[float, float, float]]:
    """Both terms of every type, slopes at the values of `more`."""
    found = {**terms, **more}
    for of in terms.keys() & more.keys():
        a, b = terms[of], more[of]
        if of.startswith("torsion"):
            whole = (a[0] + b[0], a[1] + b[1], a[2] + b[2])
        else:
            whole = (b[0], a[1] + a[2] * (b[0] - a[0]) + b[1], a[2] + b[2])
        found[of] = _three([float(f"{each:.6g}") for each in whole])
    return found


class _Basis:
    """The functions whose weights are learned: two or three of each type that the paths have."""

    def __init__(self, paths: Sequence[SeenPath]) -> None:
        ends: dict[str, list[float]] = defaultdict(list)
        kinds: dict[str, int] = {}
        for path in paths:
            values = path.coordinates.values(path.places[-1])
            for name, kind, value in zip(path.coordinates.names, path.coordinates.kinds, values, strict=True):
                for of in types_of(name):
                    ends[of].append(float(value))
                    kinds[of] = int(kind)
        self.references = {of: float(np.mean(ends[of])) for of in sorted(ends)}
        self.kinds = kinds
        self.places: dict[str, int] = {}
        deviations: list[float] = []
        for of in self.references:
            self.places[of] = len(deviations)
            deviations += _deviations(kinds[of])
        self.deviations = np.array(deviations)

    def gradients(self, coordinates: Primitives, x: Vector) -> Matrix:
        """[3 n_atoms, n_weights]: the gradient of each function at the positions `x` [3 n_atoms] in Å."""
        values = coordinates.values(x)
        by_value = np.zeros((len(values), len(self.deviations)))
        for row, name in enumerate(coordinates.names):
            for of in types_of(name):
                first = self.places[of]
                if self.kinds[of] == TORSION:
                    n = np.arange(1, 4)
                    by_value[row, first : first + 3] -= n * np.sin(n * values[row]) / coordinates.shared[row]
                else:
                    by_value[row, first] += 1.0
                    by_value[row, first + 1] += values[row] - self.references[of]
        found: Matrix = coordinates.derivatives(x).T @ by_value
        return found

    def terms(self, weights: Vector) -> dict[str, tuple[float, float, float]]:
        """The weights by type."""
        found: dict[str, tuple[float, float, float]] = {}
        for of, first in self.places.items():
            kind = self.kinds[of]
            own = [float(f"{weight:.6g}") for weight in weights[first : first + N_TERMS[kind]]]
            found[of] = _three(own if kind == TORSION else [round(self.references[of], 5), *own])
        return found


def _deviations(kind: int) -> list[float]:
    """Standard deviations of the weights of one type: of the process's slope and curvature."""
    if kind == TORSION:
        return [TORSION_EV / n for n in (1, 2, 3)]
    prior = Prior()
    height, length = (
        (prior.stretch_ev, prior.stretch_ang) if kind == STRETCH else (prior.bend_ev, prior.bend_rad)
    )
    return [WIDTH * height / length, WIDTH * math.sqrt(3.0) * height / length**2]
