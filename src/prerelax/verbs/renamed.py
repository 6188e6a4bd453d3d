"""Verbs and options of earlier versions, and what they are called now: typed, they are refused by name."""

MOVED_TO_DATA = ("qm7x", "geom", "displace", "displaced", "diffused", "minima", "split", "dataset")
RENAMED_VERBS = {
    **{name: f"data {name}" for name in (*MOVED_TO_DATA, "add-starts", "set-aside")},
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
SETTINGS = "a key of --settings"
RENAMED_OPTIONS = {
    "relax --hessian": "--cheap-level",
    "relax --max-atoms": "max_atoms in `only`, " + SETTINGS,
    "relax --max-heavy-atoms": "max_heavy_atoms in `only`, " + SETTINGS,
    "models calibrate --judge": "--reference-model",
    **{
        f"energies --{name}": f"{name.replace('-', '_')}, {SETTINGS}"
        for name in ("engine", "method", "basis", "dispersion", "solvent", "solvent-model")
    },
    "energies --max-atoms": "max_atoms in `only`, " + SETTINGS,
    "energies --max-heavy-atoms": "max_heavy_atoms in `only`, " + SETTINGS,
    **{
        f"diffuse --{name}": f"{name.replace('-', '_')}, {SETTINGS}"
        for name in ("epoch", "time-model", "calls", "max-iterations")
    },
    **{f"sample --{name}": f"{name}, {SETTINGS}" for name in ("cycles", "minimised")},
    "sample --step": f"steps, {SETTINGS}",
    **{
        f"models evaluate --{name}": f"{name.replace('-', '_')}, {SETTINGS}"
        for name in ("calls", "noise-free", "no-noise-free")
    },
    "data displaced --set": "the second argument",
    "train --folder": "run.folder of the config",
    **{f"{verb} --directory": "the folder where you call it" for verb in ("plan", "status", "retry")},
}
"""Options of earlier versions by verb, and what says the same now."""
