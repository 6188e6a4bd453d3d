"""Verbs and options of earlier versions, and what they are called now: typed, they are refused by name."""

RENAMED_VERBS = {
    **{
        name: f"data {name}"
        for name in (
            "qm7x",
            "geom",
            "displace",
            "displaced",
            "diffused",
            "minima",
            "split",
            "dataset",
            "add-starts",
            "set-aside",
        )
    },
    "parts": "data fragments",
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
    "data parts": "data fragments",
}
RENAMED_OPTIONS = {"--hessian": "--cheap-level", "--judge": "--reference-model"}
"""Options of every verb that has the new one."""
