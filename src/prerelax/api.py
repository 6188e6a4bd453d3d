"""The whole chain in two lines of Python."""

import csv
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from prerelax.records import read_shard


class DiffusionRelaxation:
    """Relax an ASE Atoms object with a denoiser, in the manner of ASE's optimizers.

    `model` is a shipped denoiser's name or a model folder; `steps` the step n at which the reverse diffusion
    is entered; `sampler` is `few` (deterministic, a few calls), `edm` (the paper's, with noise) or one of
    MoreRed's; further options are those of `prerelax.diffusion.samplers.sample`.
    The bond graph is perceived from the geometry given. No calculator is needed.
    """

    def __init__(
        self,
        atoms: Atoms,
        model: str = "edm-qm9-small",
        steps: int = 50,
        sampler: str = "few",
        charge: int = 0,
        **options: Any,
    ) -> None:
        self.atoms = atoms
        self.charge = charge
        self.model = model
        self.steps = steps
        self.options = {"sampler": sampler, **options}
        self.status = "not_converged"
        self.message = ""

    def run(self) -> bool:
        """Move the atoms; True when the geometry is a denoised one.

        Where it is False the atoms have not moved, and `status` and `message` say why.
        """
        from prerelax.diffusion.checkpoint import load_model
        from prerelax.diffusion.samplers import SamplerInput, sample
        from prerelax.molecular_graph import bonded_matrix, connectivity_unchanged, perceived_molecule
        from prerelax.topology import topological_distances

        numbers, positions = self.atoms.numbers, self.atoms.positions
        try:
            graph = perceived_molecule(numbers, positions, self.charge, None)
        except ValueError as error:
            self.status, self.message = "input_error", str(error)
            return False
        molecule = SamplerInput("atoms", numbers, positions, topological_distances(bonded_matrix(graph)))
        result = sample(load_model(self.model), [molecule], steps=self.steps, **self.options)[0]
        self.status, self.message = result.status, result.message
        if result.status != "ok":
            return False
        if not connectivity_unchanged(graph, numbers, result.positions):
            self.status, self.message = "connectivity_changed", "denoising would have broken or made a bond"
            return False
        self.atoms.positions = result.positions
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
    `n_gradients`, `n_steps` and the other fields of `prerelax.records.Record`. `model=None` starts the
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
