"""The words that the command line and a campaign's config share. Imports nothing: `--help` is quick."""

from typing import Literal

Engine = Literal["tblite", "pyscf", "psi4", "gpu4pyscf", "dft", "mlff"]
Dispersion = Literal["d3bj", "d4"]
Optimizer = Literal[
    "bfgs", "lbfgs", "bfgs-linesearch", "fire", "bfgs-hessian", "two-level", "sella", "geometric", "pyberny"
]
CheapLevel = Literal["auto", "gfn2", "gfn1", "mmff94", "lindh"]
CheckMinimum = Literal["none", "cheap", "target"]
