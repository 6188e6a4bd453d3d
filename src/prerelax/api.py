"""The whole chain in two lines of Python."""

import csv
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from prerelax.records.shard import Record, read_shard
from prerelax.starts.options import Fallback


class DiffusionRelaxation:
    """Relax an ASE Atoms object with a denoiser, in the manner of ASE's optimizers.

    `model` is a shipped denoiser's name or a model folder; `steps` the step n at which the reverse diffusion
    is entered; `sampler` is `few` (deterministic, a few calls), `edm` (the paper's, with noise) or one of
    MoreRed's; further options are those of `prerelax.diffusion.samplers.sample`.
    The bond graph is perceived from the geometry given. No calculator is needed. What the model does not
    know, breaks or is not sure of is relaxed with GFN2-xTB instead, in a process of its own, unless
    `fallback` is none.
    """

    def __init__(
        self,
        atoms: Atoms,
        model: str = "edm-qm9-small",
        steps: int = 50,
        sampler: str = "few",
        charge: int = 0,
        multiplicity: int = 1,
        fallback: Fallback = "gfn2",
        **options: Any,
    ) -> None:
        self.atoms = atoms
        self.charge = charge
        self.multiplicity = multiplicity
        self.fallback = fallback
        self.model = model
        self.steps = steps
        self.options = {"sampler": sampler, **options}
        self.status = "not_converged"
        self.message = ""

    def run(self) -> bool:
        """Move the atoms; True when the geometry is a denoised one, or the fallback's (status `fallback`).

        Where it is False the atoms have not moved, and `status` and `message` say why.
        """
        from prerelax.starts.diffuse import denoised

        given = Record(
            "atoms",
            self.atoms.numbers,
            self.atoms.get_positions(),
            charge=self.charge,
            multiplicity=self.multiplicity,
        )
        with tempfile.TemporaryDirectory(prefix="prerelax-") as folder:
            options = {"steps": self.steps, **self.options}
            rows, _ = denoised([given], self.model, "denoised", self.fallback, Path(folder), **options)
        self.status, self.message = rows[0].status, rows[0].message
        if rows[0].status not in ("ok", "fallback"):
            return False
        self.atoms.positions = rows[0].positions
        return True


def relax_smiles(
    smiles: Sequence[str],
    model: str | None = "edm-qm9-small",
    steps: int = 50,
    sampler: str = "few",
    engine: str = "tblite",
    method: str = "GFN2-xTB",
    basis: str | None = None,
    fmax: float = 0.03,
    workers: int = 1,
) -> list[Atoms]:
    """SMILES to relaxed structures: RDKit, MMFF94, denoiser, relaxation at a level.

    Returns one ASE Atoms for each SMILES, in order, whose `info` tells `status`, `message`, `energy_ev`,
    `n_gradients`, `n_steps` and the other fields of `prerelax.records.shard.Record`. `model=None` starts the
    relaxation from MMFF94. `fmax` is in eV/Å. Raises ValueError where a stage refuses the call as a whole.
    """
    # Each stage is a process of its own: QM engines never share one with torch.
    with tempfile.TemporaryDirectory(prefix="prerelax-") as folder:
        names = ("molecules.csv", "rdkit.extxyz", "mmff94.extxyz", "denoised.extxyz", "relaxed.extxyz")
        molecules, embedded, minimised, denoised, relaxed = (Path(folder) / name for name in names)
        with molecules.open("w", newline="") as file:
            csv.writer(file).writerows([("id", "smiles"), *((str(i), text) for i, text in enumerate(smiles))])
        _verb("embed", molecules, embedded)
        _verb("forcefield", embedded, minimised)
        if model is not None:
            _verb("diffuse", minimised, denoised, "--model", model, "--steps", steps, "--sampler", sampler)
        level = ["--engine", engine, "--method", method, *(["--basis", basis] if basis else [])]
        start = minimised if model is None else denoised
        _verb("relax", start, relaxed, *level, "--fmax", fmax, "--workers", workers)
        return [record.as_atoms() for record in read_shard(relaxed)]


def _verb(*words: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prerelax", *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ValueError(done.stderr.strip())
