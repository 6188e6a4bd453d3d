"""Metropolis chains of the molecules of a shard at several temperatures, in worker processes, resumable."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from prerelax.engines import ENGINES, Level, level_settings
from prerelax.errors import MissingProgramError, UserError
from prerelax.molecules.status import Status
from prerelax.records.atomic_write import write_atomically
from prerelax.records.shard import Record, ShardError, read_shard
from prerelax.relaxation.journal import Journal, journal_path, molecule_key
from prerelax.relaxation.pool import cause_of_death, thread_variables
from prerelax.relaxation.preconditioned import internal_space
from prerelax.starts.fallback import subject_of
from prerelax.studies.boltzmann.metropolis import Chain, MetropolisPlan, load_chain

STDERR_TAIL = 300


@dataclass(frozen=True)
class ChainRow:
    """One chain: a molecule at a temperature."""

    id: str
    conformer: int
    temperature_k: float
    status: Status
    message: str
    n_modes: int
    """3N - 6, or 3N - 5 for a line of atoms"""
    energies_ev: NDArray[np.float64]
    """[steps - burn_in] after every proposal that counts"""
    acceptance: float
    step_ang: float
    n_without_energy: int
    wall_s: float
    settings: str


def metropolis_chains(
    inp: Path,
    out: Path,
    *,
    level: Level,
    temperatures_k: Sequence[float],
    steps: int = 24_000,
    burn_in: int = 5_000,
    seed: int = 0,
    workers: int = 1,
    threads: int = 1,
    report: Callable[[ChainRow], None] = lambda row: None,
) -> list[ChainRow]:
    """Run a chain from every row of `inp` at every temperature and write them to `out` (.parquet).

    Chains are kept in `OUT.chains/` block by block: called again, finished ones are read and others go on,
    also when more steps are asked for. A chain depends on geometry, level, temperature, seed and burn-in
    alone. One that fails has its status, without energies. Rows that do not proceed have no chain but their
    status. Raises UserError for a refused level or numbers that make no chain, ShardError, ShardLockedError.
    """
    if out.suffix != ".parquet":
        raise UserError(f"{out}: chains are written as .parquet")
    if not temperatures_k or workers < 1:
        raise UserError("at least one temperature and one worker are needed")
    settings = _settings(level, burn_in, seed)
    plans = [MetropolisPlan(t, steps, burn_in, seed) for t in sorted(set(temperatures_k))]
    tasks = [(record, plan) for record in read_shard(inp) for plan in plans]
    with (
        Journal(journal_path(out)),
        _Workers(level, settings, threads) as pool,
        ThreadPoolExecutor(workers) as executor,
    ):
        jobs = {
            executor.submit(pool.chain_row, record, plan, out): place
            for place, (record, plan) in enumerate(tasks)
        }
        rows: dict[int, ChainRow] = {}
        try:
            for job in as_completed(jobs):
                rows[jobs[job]] = job.result()
                report(rows[jobs[job]])
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            pool.kill()
            raise
    ordered = [rows[place] for place in range(len(tasks))]
    write_chain_rows(out, ordered)
    return ordered


def _settings(level: Level, burn_in: int, seed: int) -> dict[str, Any]:
    """What a chain's numbers rest on beside the molecule and the temperature."""
    try:
        return {**level_settings(level), "verb": "metropolis", "burn_in": burn_in, "seed": seed}
    except ValueError as error:
        raise UserError(str(error)) from error
    except ImportError as error:
        raise MissingProgramError(f"the engine {level.engine} is not installed here ({error})") from error


class _Workers:
    """Starts a process for every chain; use as a context, at whose end none is left."""

    def __init__(self, level: Level, settings: dict[str, Any], threads: int) -> None:
        self.level, self.settings, self.threads = level, settings, threads
        self.running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def kill(self) -> None:
        for process in list(self.running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def chain_row(self, record: Record, plan: MetropolisPlan, out: Path) -> ChainRow:
        """The chain of a row at a temperature, run as far as it has not been."""
        row = _no_chain(record, plan, json.dumps({**self.settings, "steps": plan.steps}, sort_keys=True))
        if not record.proceeds:
            return row
        subject = subject_of(record)
        if subject.contradiction:
            return replace(row, status="input_error", message=subject.contradiction)
        name = f"{record.id}/{record.conformer}"
        key = molecule_key(record, {**self.settings, "temperature_k": plan.temperature_k, "name": name})
        path = out.with_suffix(".chains") / f"{key[:32]}.npz"
        chain = load_chain(path)
        if chain is None or chain.n_done < plan.steps:
            answer = self._run(
                {
                    "name": name,
                    "numbers": record.numbers.tolist(),
                    "positions": record.positions.tolist(),
                    "charge": record.charge,
                    "multiplicity": record.multiplicity,
                    "bonded": subject.bonded.tolist(),
                    "level": asdict(self.level),
                    "plan": asdict(plan),
                    "chain": str(path.absolute()),
                    "threads": self.threads,
                    "engines": ENGINES,
                    "path": sys.path,
                }
            )
            if answer["kind"] == "refused":
                raise UserError(answer["message"])
            row = replace(row, status=cast(Status, answer["status"]), message=answer["message"])
            chain = load_chain(path)
        if row.status != "ok" or chain is None:
            return row
        return _with_chain(row, chain, plan)

    def _run(self, task: dict[str, Any]) -> dict[str, Any]:
        """The worker's answer; of one that died, how."""
        with tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "prerelax.studies.boltzmann.metropolis_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=os.environ | thread_variables(self.threads),
                start_new_session=True,
            )
            self.running.append(process)
            assert process.stdin is not None and process.stdout is not None
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(task).encode() + b"\n")
                process.stdin.flush()
            answer = process.stdout.read()  # standard input stays open: its end would stop the chain
            code = process.wait()
            self.running.remove(process)
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()
            if answer.endswith(b"\n"):
                line: dict[str, Any] = json.loads(answer)
                return line
            stderr.seek(0)
            words = " ".join(stderr.read().decode(errors="replace").strip()[-STDERR_TAIL:].split())
            status, message = cause_of_death(code, words)
            return {"kind": "end", "status": status, "message": message}


def _no_chain(record: Record, plan: MetropolisPlan, settings: str) -> ChainRow:
    n_modes = internal_space(record.positions).shape[1] if len(record.numbers) > 1 else 0
    status: Status = "ok" if record.proceeds else record.status
    return ChainRow(
        id=record.id,
        conformer=record.conformer,
        temperature_k=plan.temperature_k,
        status=status,
        message=record.message if status != "ok" else "",
        n_modes=n_modes,
        energies_ev=np.zeros(0),
        acceptance=np.nan,
        step_ang=np.nan,
        n_without_energy=0,
        wall_s=0.0,
        settings=settings,
    )


def _with_chain(row: ChainRow, chain: Chain, plan: MetropolisPlan) -> ChainRow:
    return replace(
        row,
        energies_ev=np.array(chain.energies_ev[plan.burn_in : plan.steps]),
        acceptance=chain.acceptance(plan),
        step_ang=chain.step_ang,
        n_without_energy=chain.n_without_energy,
        wall_s=chain.wall_s,
    )


def write_chain_rows(path: Path, rows: Sequence[ChainRow]) -> None:
    """Write what `read_chain_rows` reads: a row for each chain, its energies as a list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{**vars(row), "energies_ev": row.energies_ev.tolist()} for row in rows])
    write_atomically(path, lambda part: pq.write_table(table, part))


def read_chain_rows(path: Path) -> list[ChainRow]:
    """Chains of `prerelax study boltzmann metropolis`. Raises ShardError for another file."""
    try:
        rows = pq.read_table(path).to_pylist()
        return [ChainRow(**{**row, "energies_ev": np.array(row["energies_ev"], dtype=float)}) for row in rows]
    except (OSError, pa.ArrowInvalid, TypeError, KeyError) as error:
        raise ShardError(
            f"{path}: holds no chains ({error}); run `prerelax study boltzmann metropolis` first"
        ) from error
