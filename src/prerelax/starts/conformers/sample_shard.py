"""Finds the conformers of every molecule of a shard; an interrupted run resumes where it stopped."""

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rdkit import Chem

from prerelax.denoisers.checkpoint import CONFIG, WEIGHTS, LoadedModel, find_model, load_model
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion.options import Device, SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, refusal
from prerelax.diffusion.samplers import sample as denoised
from prerelax.engines.workers import Line
from prerelax.errors import UserError, several
from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.molecules.perception import perceived_molecule
from prerelax.molecules.status import Status
from prerelax.molecules.topology import topological_distances
from prerelax.records.record import Record
from prerelax.records.settings import settings_text, sha256_of_files
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.journal import Journal, journal_path, molecule_key
from prerelax.relaxation.molecule import RelaxationResult
from prerelax.relaxation.pool import WorkerPool
from prerelax.relaxation.settings import Relaxation, Resources
from prerelax.relaxation.shard import settings_of
from prerelax.starts.conformers.moves import Conformation, conformation
from prerelax.starts.conformers.replica_exchange import Geometry
from prerelax.starts.conformers.search import Calculations, Denoise, Found, Search, SearchResult
from prerelax.starts.embed import UNHELD
from prerelax.starts.fallback import subject_of
from prerelax.starts.options import SearchPlan

START = "sample"
GFN2 = Relaxation(engine="tblite", method="GFN2-xTB", max_steps=300)
METHOD_VERSION = 1
"""Raised when a change here alters results, so that journals of before are not taken for today's."""


@dataclass(frozen=True)
class Outcome:
    """The result for one molecule."""

    record: Record
    status: Status
    message: str
    conformers: list[Found]
    counts: dict[str, int]
    accepted: list[float]
    exchanged: list[float]
    wall_s: float

    def rows(self, settings: str) -> list[Record]:
        """A row for each conformer by ascending energy; one row where there is none."""
        if not self.conformers:
            row = replace(self.record, status=self.status, message=self.message, start=START)
            return [row.after_stage(START, self.wall_s, settings=settings)]
        return [
            replace(
                row,
                energy_ev=found.energy_ev,
                fmax_ev_ang=found.fmax_ev_ang,
                converged=found.converged,
            )
            for row, found in zip(self.starts(settings, START), self.conformers, strict=True)
        ]

    def starts(self, settings: str, start: str, most: int | None = None) -> list[Record]:
        """The same as rows of a start; `most` rows, `skipped` where the search found fewer."""
        rows = [
            self.record.after_start(
                start,
                self.wall_s,
                start=start,
                conformer=number,
                positions=found.positions,
                cheap_energy_ev=found.energy_ev,
                n_gradients_cheap=self.record.n_gradients_cheap + (0 if number else self.counts["gradients"]),
                status=self.status if found.converged or self.status == "fallback" else "not_converged",
                message=self.message,
                settings=settings,
            )
            for number, found in enumerate(self.conformers[:most])
        ]
        none = replace(self.record, status=self.status, message=self.message, start=start)
        if not rows:
            rows = [none.after_stage(start, self.wall_s, settings=settings)]
        if self.conformers:
            why = f"the search found {several(len(self.conformers), 'conformer')}"
            none = replace(none, status="skipped", message=why)
        return rows + [replace(none, conformer=number) for number in range(len(rows), most or 0)]


class Xtb:
    """GFN2-xTB in worker processes: energies, and minimisations; use as a context."""

    def __init__(self, workers: int = 1, relaxation: Relaxation = GFN2) -> None:
        self.relaxation, resources = relaxation, Resources(workers=workers)
        self.points = WorkerPool(Relaxation.single_point(relaxation.level), resources)
        self.minimiser = WorkerPool(relaxation, resources)

    def __enter__(self) -> "Xtb":
        return self

    def __exit__(self, *exception: object) -> None:
        self.points.__exit__(*exception)
        self.minimiser.__exit__(*exception)

    def energies(self, record: Record, geometries: Sequence[Geometry]) -> list[float]:
        """eV; inf where there is none."""
        found = self._relaxed(self.points, record, geometries)
        return [math.inf if result.energy_ev is None else result.energy_ev for result in found]

    def minimised(self, record: Record, geometries: Sequence[Geometry]) -> list[RelaxationResult]:
        return self._relaxed(self.minimiser, record, geometries)

    @staticmethod
    def _relaxed(pool: WorkerPool, record: Record, geometries: Sequence[Geometry]) -> list[RelaxationResult]:
        found = dict(pool.relax([replace(record, positions=positions) for positions in geometries]))
        return [found[index] for index in range(len(geometries))]


def sample_shard(
    inp: Path,
    out: Path,
    *,
    model: str,
    plan: SearchPlan,
    workers: int = 1,
    device: Device = "auto",
    start: str | None = None,
    report: Callable[[Outcome], None] = lambda outcome: None,
) -> "Counter[str]":
    """Search for the conformers of every molecule of `inp`, starting from its geometry.

    `out` has a row for each conformer, lowest energy first (`conformer` counts them), or one row that says
    why there is none. Give one row per molecule: another conformer of it would be searched as a molecule of
    its own. With the name of a `start` they are its rows, `plan.conformers` of each molecule. Finished
    molecules are kept in `OUT.journal.jsonl`. Without a time limit a molecule's conformers depend on its
    geometry, id, plan and model alone. Returns how many molecules have each status. Raises ModelError,
    ShardError, UserError.
    """
    records = read_shard(inp)
    denoiser, folder = load_model(model), find_model(model)
    if not isinstance(denoiser.schedule, NoiseSchedule):
        raise UserError(f"{denoiser.name} is no EDM, which the deterministic tail of few calls needs")
    outcomes = []
    with Xtb(workers) as xtb, Journal(journal_path(out)) as journal:
        settings = {
            **settings_of(xtb.relaxation),
            **plan.model_dump(exclude={"conformers"}),
            "verb": "sample",
            "sample_version": METHOD_VERSION,
            "model_sha256": sha256_of_files(folder / WEIGHTS, folder / CONFIG),
        }
        known = journal.entries()
        for record in records:
            key = molecule_key(record, {**settings, "id": record.id})
            outcome = _kept_outcome(record, known.get(key))
            if outcome is None:
                outcome = sampled(record, denoiser, plan, xtb, workers, device)
                journal.add(key, dict(_outcome_line(outcome)))
            outcomes.append(outcome)
            report(outcome)
    text = settings_text({**settings, "model": folder.name}, "torch", "rdkit")
    made = (o.starts(text, start, plan.conformers) if start else o.rows(text) for o in outcomes)
    write_shard(out, [row for rows in made for row in rows])
    return Counter(outcome.status for outcome in outcomes)


def sampled(
    record: Record,
    denoiser: LoadedModel | None,
    plan: SearchPlan,
    xtb: Xtb,
    workers: int = 1,
    device: Device = "auto",
    clock: Callable[[], float] = time.perf_counter,
) -> Outcome:
    """The conformers of one molecule. `clock` measures the plan's seconds.

    A molecule that the denoiser does not know is searched without it: status `fallback`, and why.
    """

    def outcome(
        status: Status, message: str, result: SearchResult | None = None, wall_s: float = 0.0
    ) -> Outcome:
        if result is None:
            return Outcome(record, status, message, [], {}, [], [], wall_s)
        found = result.conformers, dict(result.counts), result.accepted, result.exchanged
        return Outcome(record, status, message, *found, wall_s)

    if not record.proceeds:
        return outcome(record.status, record.message)
    if record.constraints:
        return outcome("input_error", UNHELD)
    subject = subject_of(record)
    if subject.contradiction:
        return outcome("input_error", subject.contradiction)
    try:
        molecule = conformation(_mol(record), record.positions)
    except ValueError as error:
        return outcome("input_error", f"no bonds to turn are known: {error}; give its SMILES")
    if not molecule.is_whole(record.positions):
        return outcome("connectivity_changed", "the geometry does not have the bonds of its SMILES")
    denoise, doubt = None, subject.objection
    if denoiser is not None and not doubt:
        denoise, doubt = _denoise(denoiser, record, molecule, device)
    if not molecule.has_mmff94:
        doubt = "; ".join(filter(None, (doubt, "MMFF94 has no parameters for it")))
    calculations = Calculations(
        denoise,
        lambda geometries: xtb.energies(record, geometries),
        lambda geometries: xtb.minimised(record, geometries),
        workers,
    )
    search = Search(molecule, record.positions, plan, _generator(record.id, plan.seed), calculations, clock)
    result = search.run()
    wall_s = clock() - search.began
    if not result.conformers:
        message = result.failure or "GFN2-xTB has no energy for any geometry"
        status: Status = "connectivity_changed" if "bonds" in message else "scf_failed"
        return outcome(status, message, result, wall_s)
    return outcome("fallback" if doubt else "ok", doubt, result, wall_s)


def _mol(record: Record) -> Chem.Mol:
    if record.smiles:
        return mol_from_mapped_smiles(record.smiles)
    return perceived_molecule(record.numbers, record.positions, record.charge, record.multiplicity)


def _denoise(
    denoiser: LoadedModel, record: Record, molecule: Conformation, device: Device
) -> tuple[Denoise | None, str]:
    """The function that denoises the molecule, or the reason why there is none."""
    topology = topological_distances(molecule.bonded)
    given = SamplerInput(record.id, record.numbers, record.positions, topology)
    refused = refusal(given, denoiser)
    if refused is not None:
        return None, refused.message if refused.status != "ok" else ""
    options = SamplerOptions(sampler="few", device=device)

    def denoise(geometries: Sequence[Geometry]) -> list[Geometry]:
        inputs = [replace(given, positions=positions) for positions in geometries]
        return [result.positions for result in denoised(denoiser, inputs, options)]

    return denoise, ""


def _generator(name: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}\0sample\0{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def _outcome_line(outcome: Outcome) -> Line:
    """What the journal keeps of an outcome."""
    conformers = [{**vars(found), "positions": found.positions.tolist()} for found in outcome.conformers]
    return {name: value for name, value in vars(outcome).items() if name != "record"} | {
        "conformers": conformers
    }


def _kept_outcome(record: Record, line: Line | None) -> Outcome | None:
    """An outcome that the journal kept; None where its line holds none that fits."""
    if line is None:
        return None
    try:
        found = [Found(**{**each, "positions": np.array(each["positions"])}) for each in line["conformers"]]
        outcome = Outcome(record=record, **{**line, "conformers": found})
    except (KeyError, TypeError, ValueError):
        return None
    fits = all(each.positions.shape == (len(record.numbers), 3) for each in found)
    return outcome if fits else None
