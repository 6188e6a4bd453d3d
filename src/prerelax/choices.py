"""The words that the command line and a campaign's config share. Imports nothing: `--help` is quick."""

from typing import Literal

ForceField = Literal["mmff94", "uff", "mmff94-openbabel"]
Sampler = Literal["edm", "few", "ddpm", "itp", "as", "jt"]
Fallback = Literal["gfn2", "none"]
Device = Literal["auto", "cpu", "cuda"]
Engine = Literal["tblite", "pyscf", "psi4", "gpu4pyscf", "dft", "mlff"]
Dispersion = Literal["d3bj", "d4"]
Optimizer = Literal[
    "bfgs", "lbfgs", "bfgs-linesearch", "fire", "bfgs-hessian", "two-level", "sella", "geometric", "pyberny"
]
Hessian = Literal["auto", "gfn2", "gfn1", "mmff94", "lindh"]
CheckMinimum = Literal["none", "cheap", "target"]
RelaxationFigure = Literal["ratios", "steps", "bins", "seconds", "sizes"]
