"""Metropolis chains of the molecules of a shard at several temperatures, in worker processes, resumable."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from prerelax.engines import level_settings
from prerelax.engines.workers import Line, Lost, Workers
from prerelax.errors import UserError
from prerelax.molecules.status import Status
from prerelax.records.record import Record
from prerelax.records.seal import opened_table, write_table
from prerelax.records.shard import ShardError, read_shard
from prerelax.relaxation.journal import Journal, journal_path, molecule_key
from prerelax.relaxation.preconditioned import internal_space
from prerelax.relaxation.settings import Resources
from prerelax.starts.fallback import subject_of
from prerelax.studies.boltzmann.config import Metropolis
from prerelax.studies.boltzmann.metropolis import MetropolisPlan, load_chain

WORKER = "prerelax.studies.boltzmann.metropolis_worker"


@dataclass(frozen=True, kw_only=True)
class ChainRow:
    """One chain: a molecule at a temperature; without energies where it failed."""

    id: str
    conformer: int
    temperature_k: float
    status: Status
    message: str
    n_modes: int
    """3N - 6, or 3N - 5 for a line of atoms"""
    energies_ev: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """[steps - burn_in] after every proposal that counts"""
    acceptance: float = np.nan
    step_ang: float = np.nan
    n_without_energy: int = 0
    wall_s: float = 0.0
    settings: str


def metropolis_chains(
    inp: Path,
    out: Path,
    chosen: Metropolis,
    resources: Resources | None = None,
    report: Callable[[ChainRow], None] = lambda row: None,
) -> list[ChainRow]:
    """Run a chain from every row of `inp` at every temperature and write them to `out` (.parquet).

    Chains are kept in `OUT.chains/` block by block: called again, finished ones are read and others go on,
    also when more proposals are asked for. A chain depends on geometry, level, temperature, seed and burn-in
    alone. One that fails has its status, without energies. Rows that do not proceed have no chain but their
    status. Raises UserError for a refused level or numbers that make no chain, ShardError, ShardLockedError.
    """
    if out.suffix != ".parquet":
        raise UserError(f"{out}: chains are written as .parquet")
    resources = resources or Resources()
    settings = _settings(chosen)
    plans = [
        MetropolisPlan(temperature_k, chosen.proposals, chosen.burn_in, chosen.seed)
        for temperature_k in sorted(set(chosen.temperatures_k))
    ]
    chains = [
        _Chain(record, plan, settings, out.with_suffix(".chains"))
        for record in read_shard(inp)
        for plan in plans
    ]
    setup = {"level": chosen.level.model_dump()}
    with (
        Journal(journal_path(out)),
        Workers(WORKER, setup, resources.workers, resources.threads) as pool,
    ):
        for chain in chains:
            if not chain.has_to_run:
                report(chain.row())
        running = [chain for chain in chains if chain.has_to_run]
        for index, answer in pool.run([chain.task() for chain in running]):
            chain = running[index]
            if isinstance(answer, Lost):
                chain.end(answer.status, answer.message)
            else:
                chain.end(answer["status"], answer["message"])
            report(chain.row())
    rows = [chain.row() for chain in chains]
    write_chain_rows(out, rows)
    return rows


def _settings(chosen: Metropolis) -> dict[str, object]:
    """What a chain's numbers rest on beside the molecule and the temperature."""
    own = {"verb": "metropolis", "burn_in": chosen.burn_in, "seed": chosen.seed}
    try:
        return {**level_settings(chosen.level), **own}
    except UserError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from error


class _Chain:
    """The chain of a row at a temperature, kept in `folder`."""

    def __init__(
        self, record: Record, plan: MetropolisPlan, settings: dict[str, object], folder: Path
    ) -> None:
        self.record, self.plan = record, plan
        self.settings = json.dumps({**settings, "steps": plan.steps}, sort_keys=True)
        self.status: Status = "ok" if record.proceeds else record.status
        self.message = "" if record.proceeds else record.message
        self.name = f"{record.id}/{record.conformer}"
        self._subject = subject_of(record) if record.proceeds else None
        if self._subject and self._subject.contradiction:
            self.end("input_error", self._subject.contradiction)
        key = molecule_key(record, {**settings, "temperature_k": plan.temperature_k, "name": self.name})
        self.path = folder / f"{key[:32]}.npz"
        found = load_chain(self.path) if self.status == "ok" else None
        self.has_to_run = self.status == "ok" and (found is None or found.n_done < plan.steps)

    def end(self, status: Status, message: str) -> None:
        self.status, self.message = status, message

    def task(self) -> Line:
        """What a worker is told of it."""
        assert self._subject is not None
        return {
            "name": self.name,
            "numbers": self.record.numbers.tolist(),
            "positions": self.record.positions.tolist(),
            "charge": self.record.charge,
            "multiplicity": self.record.multiplicity,
            "bonded": self._subject.bonded.tolist(),
            "plan": asdict(self.plan),
            "chain": str(self.path.absolute()),
        }

    def row(self) -> ChainRow:
        """What is known of it at its end."""
        record, chain = self.record, load_chain(self.path) if self.status == "ok" else None
        row = ChainRow(
            id=record.id,
            conformer=record.conformer,
            temperature_k=self.plan.temperature_k,
            status=self.status,
            message=self.message,
            n_modes=internal_space(record.positions).shape[1] if len(record.numbers) > 1 else 0,
            settings=self.settings,
        )
        if chain is None:
            return row
        return replace(
            row,
            energies_ev=np.array(chain.energies_ev[self.plan.burn_in : self.plan.steps]),
            acceptance=chain.acceptance(self.plan),
            step_ang=chain.step_ang,
            n_without_energy=chain.n_without_energy,
            wall_s=chain.wall_s,
        )


def write_chain_rows(path: Path, rows: Sequence[ChainRow]) -> None:
    """Write what `read_chain_rows` reads: a row for each chain, its energies as a list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{**vars(row), "energies_ev": row.energies_ev.tolist()} for row in rows])
    write_table(path, table)


def read_chain_rows(path: Path) -> list[ChainRow]:
    """Chains of `prerelax study boltzmann metropolis`. Raises ShardError for another file."""
    try:
        with opened_table(path) as file:
            rows = file.read().to_pylist()
        return [ChainRow(**{**row, "energies_ev": np.array(row["energies_ev"], dtype=float)}) for row in rows]
    except (TypeError, KeyError, ValueError) as error:
        raise ShardError(
            f"{path}: holds no chains ({error}); run `prerelax study boltzmann metropolis` first"
        ) from error
