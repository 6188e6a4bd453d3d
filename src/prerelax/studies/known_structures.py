"""Sets of structures as a model sees them: the molecules whose elements it knows."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from prerelax.datasets.structures import Structures, read_npz
from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.errors import UserError


def known_structures(path: Path, model: LoadedModel) -> Structures:
    """The molecules of an npz set that are of the model's elements and have more than one atom.

    Raises UserError where the file holds none of them.
    """
    try:
        structures = read_npz(path)
    except (OSError, ValueError, BadZipFile) as error:
        raise UserError(f"{path}: no set of structures ({error})") from error
    known = structures.with_elements(model.elements)
    known = known.select(np.flatnonzero(known.n_atoms > 1))
    if not len(known):
        raise UserError(
            f"{path} has no molecule of the atomic numbers {list(model.elements)} alone, "
            f"which are those that {model.name} knows"
        )
    return known
