"""The verbs of the command line beside the chain's own, a module for each section of its help.

`prerelax.cli` puts them together. Modules import what they need when a verb runs: `prerelax --help` is quick.
"""

from collections.abc import Callable

from prerelax.studies.boltzmann import verbs as boltzmann
from prerelax.studies.relaxation import verbs as relaxation
from prerelax.verbs import conformers, datasets, generation, surface

SECTIONS: dict[str, dict[str, Callable[..., None]]] = {
    "Training sets": datasets.VERBS,
    "Conformers and Boltzmann distributions": conformers.VERBS | boltzmann.VERBS,
    "What EDM knows of the surface (docs/guide/studies.md)": surface.VERBS,
    "MoreRed's relaxations (docs/guide/studies.md)": relaxation.VERBS,
    "MoreRed's generation (docs/guide/studies.md)": generation.VERBS,
}
"""Verbs by the heading under which `prerelax --help` shows them."""
