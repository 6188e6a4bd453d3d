"""From Python: the whole chain in one call, a denoiser as an optimizer, a campaign and its results."""

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from pydantic import ValidationError
from rdkit.Chem import AddHs, Mol, MolToMolBlock

from prerelax.campaign.layout import Layout
from prerelax.campaign.stages import opened_campaign
from prerelax.denoisers.choosing import AUTO
from prerelax.denoisers.model_folders import find_model
from prerelax.diffusion.options import Sampler
from prerelax.errors import UserError
from prerelax.exports.export import is_usable
from prerelax.exports.files import with_energy
from prerelax.exports.minima import chosen_target, minima
from prerelax.molecules.graph import mapped_smiles
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.settings import Relaxation
from prerelax.runs.run import alone, snakemake_call
from prerelax.settings import model_from, sentences
from prerelax.starts.options import DEFAULT_MODEL, DiffuseOptions


class DiffusionRelaxation:
    """Relax an ASE Atoms object with a denoiser, in the manner of ASE's optimizers.

    `model` is a shipped denoiser's name or a model folder, `steps` the step n at which the reverse diffusion
    is entered, `sampler` edm (the paper's), few (a deterministic tail) or one of MoreRed's. Further options
    are the other fields of `prerelax.starts.options.DiffuseOptions`. What is not given follows the model's
    own defaults. `charge` and `multiplicity` are those of `atoms.info`, as shards have them, unless they are
    given; else 0 and 1. The bond graph is perceived from the geometry. No calculator is needed. What the
    model does not know, breaks or is unsure of is relaxed with GFN2-xTB instead, in a process of its own,
    unless `fallback` is none. Raises UserError for a model or option that is unknown or out of range.
    """

    def __init__(
        self,
        atoms: Atoms,
        model: str = DEFAULT_MODEL,
        steps: int | None = None,
        sampler: Sampler | None = None,
        charge: int | None = None,
        multiplicity: int | None = None,
        **options: object,
    ) -> None:
        self.atoms = atoms
        self.charge = int(atoms.info.get("charge", 0)) if charge is None else charge
        self.multiplicity = int(atoms.info.get("multiplicity", 1)) if multiplicity is None else multiplicity
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
    molecules: Sequence[str | Mol],
    model: str | None = DEFAULT_MODEL,
    steps: int | None = None,
    sampler: Sampler | None = None,
    workers: int = 1,
    level: str | None = None,
    **target: object,
) -> list[Atoms]:
    """SMILES or RDKit molecules to relaxed structures: RDKit, MMFF94, denoiser, relaxation at a target.

    `model=None` starts the relaxation from MMFF94, `auto` chooses for each molecule; `steps` and `sampler`
    are as for `DiffusionRelaxation`. `level` is written as chemists do, `B3LYP-D3BJ/def2-SVP`; `target` are
    keys of a campaign's target, such as `engine`, `method`, `basis`, `optimizer`, `convergence` and `fmax` in
    eV/Å; GFN2-xTB of tblite by default. A molecule of RDKit's with a 3-D conformer begins at that one.

    Returns one ASE Atoms for each molecule, in order, with its energy in eV as the result of a calculator;
    `info` tells `status`, `message`, `n_gradients`, `n_steps` and the other fields of
    `prerelax.records.record.Record`. Raises UserError for a single molecule in place of a list, for a model,
    level or option that is unknown, and where a stage refuses the call as a whole.
    """
    if isinstance(molecules, str | Mol):
        shown = repr(molecules) if isinstance(molecules, str) else "mol"
        raise UserError(f"relax_smiles takes a list of SMILES: write [{shown}], not {shown}")
    relaxation = _relaxation(level, target)
    denoising: dict[str, object] = {}
    if model is not None:
        wanted = str(relaxation.level).rpartition(" (")[0]
        said = {"model": model, "steps": steps, "sampler": sampler, "level": wanted}
        denoising = {key: value for key, value in said.items() if value is not None}
        _denoising(denoising)
    # Each stage is a process of its own: QM engines never share one with torch.
    with tempfile.TemporaryDirectory(prefix="prerelax-") as folder:
        names = ("rdkit.extxyz", "mmff94.extxyz", "denoised.extxyz", "relaxed.extxyz")
        embedded, minimised, denoised, relaxed = (Path(folder) / name for name in names)
        _embed(molecules, embedded)
        _verb("forcefield", [embedded, minimised])
        if denoising:
            _verb("diffuse", [minimised, denoised], {"settings": json.dumps(denoising)})
        settings = relaxation.model_dump_json(exclude_defaults=True)
        start = minimised if model is None else denoised
        _verb("relax", [start, relaxed], {"workers": workers, "settings": settings})
        return [_with_energy(record) for record in read_shard(relaxed)]


def _relaxation(level: str | None, target: Mapping[str, object]) -> Relaxation:
    said = {"engine": "tblite", "method": "GFN2-xTB"}
    if level is not None:
        words = [level, *([str(target["engine"])] if "engine" in target else [])]
        said = json.loads(_called("prerelax.engines.written", words))
    return model_from(Relaxation, {**said, **target})


def _embed(molecules: Sequence[str | Mol], out: Path) -> None:
    """The molecules in order as a shard; each kind of file is embedded by itself."""
    in_3d = [n for n, each in enumerate(molecules) if not isinstance(each, str) and _is_3d(each)]
    table, structures = out.with_name("molecules.csv"), out.with_name("molecules.sdf")
    others = [n for n in range(len(molecules)) if n not in in_3d]
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "smiles"))
        writer.writerows((str(n), _smiles(molecules[n])) for n in others)
    records: dict[int, Record] = {}
    if others:
        _verb("embed", [table, out])
        records |= dict(zip(others, read_shard(out), strict=True))
    if in_3d:
        texts = [MolToMolBlock(molecules[n], forceV3000=True).split("\n", 1)[1] for n in in_3d]
        structures.write_text("".join(f"{n}\n{text}$$$$\n" for n, text in zip(in_3d, texts, strict=True)))
        _verb("embed", [structures, out])
        records |= dict(zip(in_3d, read_shard(out), strict=True))
    write_shard(out, [records[n] for n in range(len(molecules))])


def _is_3d(molecule: Mol) -> bool:
    return bool(molecule.GetNumConformers() and molecule.GetConformer().Is3D())


def _smiles(molecule: str | Mol) -> str:
    """SMILES that keep the order of a molecule's atoms."""
    return molecule if isinstance(molecule, str) else mapped_smiles(AddHs(molecule))


def _with_energy(record: Record) -> Atoms:
    atoms = record.as_atoms()
    if record.energy_ev is not None:
        atoms.calc = SinglePointCalculator(atoms, energy=record.energy_ev)
    return atoms


class Campaign:
    """A campaign, by its config file or its folder in results/: runs it, and reads what came out.

    Raises UserError where the config is wrong.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config, self.directory = opened_campaign(self.path)

    @property
    def folder(self) -> Path:
        """Its results."""
        return self.directory / Layout.of(self.config.campaign).folder

    def run(self, cores: int | None = None, profile: str | None = None) -> None:
        """Have Snakemake run what is not finished. Raises UserError with the end of what it said."""
        if self.path.is_dir():
            raise UserError(f"{self.path} is a folder of results; give the campaign's config to run it")
        call = snakemake_call(self.path.absolute(), cores or len(os.sched_getaffinity(0)), profile)
        with alone(self.folder / "logs") as lock:
            done = subprocess.run(
                call, cwd=self.directory, capture_output=True, text=True, check=False, pass_fds=(lock,)
            )
        if done.returncode != 0:
            raise UserError("\n".join((done.stdout + done.stderr).strip().splitlines()[-15:]))

    def results(self) -> pd.DataFrame:
        """comparison.csv: one row for each molecule, conformer, target and start."""
        from prerelax.comparison.comparison import read_comparison

        return read_comparison(self.folder / "comparison.csv")

    def minima(self, target: str | None = None, lowest: bool = False) -> pd.DataFrame:
        """The minima at a target (by default the first of a DFT program), one row for each.

        The column `mol` holds RDKit's molecules with the relaxed conformer, `atoms` ASE's Atoms with the
        energy; rows without a minimum have None there. With `lowest` each molecule's lowest conformer alone.
        """
        at = chosen_target(self.config, target)
        level = str(self.config.targets[at].level)
        found = list(minima(self.config, self.directory, at, lowest))
        table = pd.DataFrame([each.fields(level) for each in found])
        usable = [is_usable(each) for each in found]
        table["mol"] = [each.mol if use else None for each, use in zip(found, usable, strict=True)]
        table["atoms"] = [with_energy(each) if use else None for each, use in zip(found, usable, strict=True)]
        return table

    def __repr__(self) -> str:
        return (
            f"Campaign({str(self.path)!r}): {', '.join(str(at.level) for at in self.config.targets.values())}"
        )

    def _repr_html_(self) -> str:
        """A notebook shows the minima, once there are some."""
        try:
            shown = self.minima().drop(columns=["mol", "atoms"])
        except UserError as error:
            return f"<p>{escape(repr(self))}: {escape(str(error))}</p>"
        return f"<p>{escape(repr(self))}</p>{shown.to_html(index=False, max_rows=20)}"


def _denoising(options: Mapping[str, object]) -> DiffuseOptions:
    try:
        checked = DiffuseOptions.model_validate(options)
    except ValidationError as error:
        raise UserError(sentences(error, DiffuseOptions, options)) from None
    if checked.model != AUTO and checked.epoch is None:
        find_model(checked.model)
    return checked


def _verb(name: str, files: Sequence[Path], options: Mapping[str, object] | None = None) -> None:
    words = [name, *map(str, files)]
    for option, value in (options or {}).items():
        flag = "--" + option.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words += [flag, str(value)]
    _called("prerelax", words)


def _called(module: str, words: Sequence[str]) -> str:
    """What a module says, run as a program. Raises UserError with the sentence that it ends with."""
    done = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(done.stderr.strip().rpartition("\n")[2])
    return done.stdout
