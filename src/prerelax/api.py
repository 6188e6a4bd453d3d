"""The whole chain in two lines of Python."""

import csv
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ase import Atoms
from pydantic import ValidationError

from prerelax.diffusion.options import Sampler
from prerelax.errors import UserError
from prerelax.records.record import Record
from prerelax.records.shard import read_shard
from prerelax.settings import sentences
from prerelax.starts.options import DEFAULT_MODEL, DiffuseOptions


class DiffusionRelaxation:
    """Relax an ASE Atoms object with a denoiser, in the manner of ASE's optimizers.

    `model` is a shipped denoiser's name or a model folder, `steps` the step n at which the reverse diffusion
    is entered, `sampler` edm (the paper's), few (a deterministic tail) or one of MoreRed's. Further options
    are the other fields of `prerelax.starts.options.DiffuseOptions`. What is not given follows the model's
    own defaults. The bond graph is perceived from the geometry. No calculator is needed. What the model does
    not know, breaks or is unsure of is relaxed with GFN2-xTB instead, in a process of its own, unless
    `fallback` is none. Raises UserError for an option that is unknown or out of range.
    """

    def __init__(
        self,
        atoms: Atoms,
        model: str = DEFAULT_MODEL,
        steps: int | None = None,
        sampler: Sampler | None = None,
        charge: int = 0,
        multiplicity: int = 1,
        **options: object,
    ) -> None:
        self.atoms = atoms
        self.charge = charge
        self.multiplicity = multiplicity
        self.options = _denoising({"model": model, "steps": steps, "sampler": sampler, **options})
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
            rows, _ = denoised([given], self.options, "denoised", Path(folder))
        self.status, self.message = rows[0].status, rows[0].message
        if rows[0].status not in ("ok", "fallback"):
            return False
        self.atoms.positions = rows[0].positions
        return True


def relax_smiles(
    smiles: Sequence[str],
    model: str | None = DEFAULT_MODEL,
    steps: int | None = None,
    sampler: Sampler | None = None,
    workers: int = 1,
    **target: object,
) -> list[Atoms]:
    """SMILES to relaxed structures: RDKit, MMFF94, denoiser, relaxation at a target.

    `model=None` starts the relaxation from MMFF94; `steps` and `sampler` are as for `DiffusionRelaxation`.
    `target` are options of `prerelax relax`, such as `engine`, `method`, `basis`, `optimizer` and `fmax` in
    eV/Å; GFN2-xTB of tblite by default. Returns one ASE Atoms for each SMILES, in order, whose `info` tells
    `status`, `message`, `energy_ev`, `n_gradients`, `n_steps` and the other fields of
    `prerelax.records.record.Record`. Raises UserError for a single string in place of a list, and ValueError
    where a stage refuses the call as a whole.
    """
    if isinstance(smiles, str):
        raise UserError(f"relax_smiles takes a list of SMILES: write [{smiles!r}], not {smiles!r}")
    # Each stage is a process of its own: QM engines never share one with torch.
    with tempfile.TemporaryDirectory(prefix="prerelax-") as folder:
        names = ("molecules.csv", "rdkit.extxyz", "mmff94.extxyz", "denoised.extxyz", "relaxed.extxyz")
        molecules, embedded, minimised, denoised, relaxed = (Path(folder) / name for name in names)
        with molecules.open("w", newline="") as file:
            csv.writer(file).writerows([("id", "smiles"), *((str(i), text) for i, text in enumerate(smiles))])
        _verb("embed", [molecules, embedded])
        _verb("forcefield", [embedded, minimised])
        if model is not None:
            _verb("diffuse", [minimised, denoised], {"model": model, "steps": steps, "sampler": sampler})
        level = {"engine": "tblite", "method": "GFN2-xTB", "workers": workers, **target}
        _verb("relax", [minimised if model is None else denoised, relaxed], level)
        return [record.as_atoms() for record in read_shard(relaxed)]


def _denoising(options: Mapping[str, object]) -> DiffuseOptions:
    try:
        return DiffuseOptions.model_validate(options)
    except ValidationError as error:
        raise UserError(sentences(error, DiffuseOptions, options)) from None


def _verb(name: str, files: Sequence[Path], options: Mapping[str, object] | None = None) -> None:
    words = [name, *map(str, files)]
    for option, value in (options or {}).items():
        flag = "--" + option.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words += [flag, str(value)]
    done = subprocess.run(
        [sys.executable, "-m", "prerelax", *words], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ValueError(done.stderr.strip())
