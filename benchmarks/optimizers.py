"""Gradients that each optimizer needs at GFN2-xTB, from MMFF94 minima and from QM9's own geometries.

    python benchmarks/optimizers.py qm9_val.npz 20 bfgs bfgs-hessian two-level

The file has the form of the model cards' data: flat `numbers`, `positions`, `positions_mmff94`, and
`n_atoms`. The molecules are spread evenly over it.
"""

import sys
import time
from pathlib import Path

import numpy as np

from prerelax.relaxation.molecule import Relaxation, relax_molecule


def main(path: Path, n_molecules: int, optimizers: list[str]) -> None:
    data = np.load(path)
    ends = np.cumsum(data["n_atoms"])
    chosen = np.linspace(0, len(ends), n_molecules, endpoint=False).astype(int)
    for start in ("positions_mmff94", "positions"):
        for optimizer in optimizers:
            relaxation = Relaxation(engine="tblite", method="GFN2-xTB", optimizer=optimizer)
            began = time.process_time()
            results = []
            for i in chosen:
                atoms = slice(ends[i] - data["n_atoms"][i], ends[i])
                geometry = data[start][atoms].astype(float)
                results.append(relax_molecule(data["numbers"][atoms], geometry, 0, 1, relaxation))
            seconds = (time.process_time() - began) / n_molecules
            gradients = np.array([result.n_gradients for result in results])
            cheap = np.mean([result.n_gradients_cheap for result in results])
            converged = sum(result.converged for result in results)
            print(
                f"| {start} | {optimizer} | {np.median(gradients):g} | {gradients.mean():.2f} | "
                f"{gradients.max()} | {cheap:.0f} | {converged}/{n_molecules} | {seconds:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    print("| start | optimizer | median | mean | most | cheap | converged | s |\n" + "| --- " * 8 + "|")
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
