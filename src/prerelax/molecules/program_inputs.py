"""Inputs of ORCA and Gaussian from a template that leaves charge and geometry open."""

import re
from collections.abc import Mapping
from functools import partial

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

PLACES = ("name", "charge", "multiplicity", "geometry")
NEEDED = ("charge", "multiplicity", "geometry")
_PLACE = re.compile(r"\{(" + "|".join(PLACES) + r")\}")


def filled_input(
    template: str,
    numbers: NDArray[np.integer],
    positions: NDArray[np.float64],
    charge: int,
    multiplicity: int,
    name: str = "molecule",
) -> str:
    """The template with {name}, {charge}, {multiplicity} and {geometry} filled in; other braces stay.

    `numbers` [n_atoms], `positions` [n_atoms, 3] in Å.
    """
    places = {
        "name": name,
        "charge": str(charge),
        "multiplicity": str(multiplicity),
        "geometry": geometry_lines(numbers, positions),
    }
    return _PLACE.sub(partial(_filled, places), template)


def _filled(places: Mapping[str, str], match: re.Match[str]) -> str:
    return places[match[1]]


def geometry_lines(numbers: NDArray[np.integer], positions: NDArray[np.float64]) -> str:
    """Element and x y z in Å of every atom, a line each."""
    rows = zip(numbers, positions, strict=True)
    return "\n".join(f"{chemical_symbols[z]:<2} {x:16.10f} {y:16.10f} {w:16.10f}" for z, (x, y, w) in rows)
