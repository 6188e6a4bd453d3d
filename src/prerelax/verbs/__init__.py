"""The verbs of the command line beside the chain's own, a module for each section of its help.

`prerelax.cli` puts them together. Modules import what they need when a verb runs: `prerelax --help` is quick.
"""

from collections.abc import Callable

from prerelax.verbs import conformers, datasets, known_minima
from prerelax.verbs.energies import energies

SECTIONS: dict[str, dict[str, Callable[..., None]]] = {
    "The chain": {"energies": energies},
    "Training sets": datasets.VERBS | known_minima.VERBS,
    "Conformers": conformers.VERBS,
}
"""Verbs by the heading under which `prerelax --help` shows them."""

RENAMED_VERBS: dict[str, str] = {
    "paths": "study paths",
    "align": "study alignment",
    "training-speedup": "study training",
    "outlier": "study outlier",
    "generate": "study generation chains",
    "phases": "study generation phases",
    "chain-end": "study generation end",
    "chain-energies": "study generation energies",
    "boltzmann-molecules": "study boltzmann molecules",
    "boltzmann": "study boltzmann repeat",
    "metropolis": "study boltzmann metropolis",
    "boltzmann-figures": "study boltzmann figures",
    "relaxation-table": "study relaxation table",
    "relaxation-figure": "study relaxation figure",
    "relaxation-drawings": "study relaxation drawings",
    "relaxation-energies": "study relaxation energies",
    "training-curves": "study relaxation curves",
    "from-noise": "study from-noise sample",
    "known-smiles": "study from-noise known",
    "judge-samples": "study from-noise judge",
    "generation-shares": "study from-noise shares",
    "generation-limits": "study from-noise limits",
    "generation-pictures": "study from-noise pictures",
    "schedules": "study schedules compare",
    "shells": "study schedules shells",
}
"""Verbs of earlier versions, and the words that stand for them now."""
