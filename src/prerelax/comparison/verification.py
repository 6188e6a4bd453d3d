"""A campaign proves itself: every row accounted for, every file whole, a sample computed again.

What was found stands in `verified.json` in the results (`prerelax.comparison.verdict`). Check sums of files
that were found right stand in `SHA256SUMS`, as `sha256sum` writes it: a later call sees a file that changed
although nobody wrote it.
"""

import hashlib
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from prerelax.campaign.baseline import Baseline
from prerelax.campaign.config import Campaign
from prerelax.campaign.handing_on import compared_with
from prerelax.campaign.inspection import rows_expected, unfit_shards
from prerelax.campaign.layout import relaxed_folder
from prerelax.campaign.sharding import SHARDS_FILE, Shard, read_shards, row_digests, shard_name
from prerelax.campaign.stages import shard_path, stages
from prerelax.comparison.comparison import compare
from prerelax.comparison.verdict import VERIFIED, Agreement, Verdict, sha256_of_comparison
from prerelax.engines import is_cheap
from prerelax.errors import UserError
from prerelax.molecules.status import PROCEED
from prerelax.molecules.stereo import changes
from prerelax.records.atomic_write import write_text_atomically
from prerelax.records.record import Record
from prerelax.records.shard import ShardError, read_shard
from prerelax.relaxation.pool import WorkerPool
from prerelax.relaxation.settings import Relaxation, Resources

SUMS = "SHA256SUMS"
OWN = ((SUMS,), (VERIFIED,))
"""Files of the results that are written here."""
SEED = 0
"""Of the choice of the rows that are computed again."""
CHEAP_EV, OTHER_EV = 1e-4, 1e-3
"""By which an energy computed again may differ: at a cheap level, and where a self-consistent field began
from another guess."""
FORCE_EV_ANG = 5e-3
"""The same for the largest force on an atom."""


def verify(
    campaign: Campaign, directory: Path, n_rows: int, report: Callable[[str], None] = lambda line: None
) -> Verdict:
    """Look at everything in the results of a campaign run in `directory`; write verified.json, SHA256SUMS.

    `n_rows` relaxed rows of each target are computed again. Raises UserError where the campaign has not
    begun.
    """
    results = directory / "results" / campaign.campaign
    shards = read_shards(results / SHARDS_FILE)
    if not shards:
        raise UserError(f"{results / SHARDS_FILE}: no shards yet; run the campaign first")
    verdict = Verdict(campaign.campaign, n_molecules=shards[-1].last, n_shards=len(shards))
    _input(verdict, directory / campaign.molecule_file, shards)
    relaxed = _rows(verdict, campaign, results, shards, report)
    verdict.problems += [unfit.sentence for unfit in unfit_shards(campaign, results, shards)]
    _comparison(verdict, campaign, results, len(shards))
    for target, rows in relaxed.items():
        _isomers(verdict, rows)
        report(f"computing rows of target {target} again")
        _computed_again(verdict, target, campaign.targets[target], rows, n_rows)
    verdict.comparison_sha256 = sha256_of_comparison(results)
    try:
        _sums(verdict, results)
        verdict.write(results)
    except PermissionError as error:
        verdict.notes.append(f"note: {error.filename} cannot be written: the verdict is not kept")
    return verdict


def _input(verdict: Verdict, molecules: Path, shards: Sequence[Shard]) -> None:
    try:
        found = list(row_digests(molecules, shards))
    except UserError as error:
        verdict.problems.append(str(error))
        return
    pairs = enumerate(zip(shards, found, strict=True))
    changed = [number for number, (shard, now) in pairs if shard.digest not in ("", now)]
    if changed:
        names = ", ".join(shard_name(number) for number in changed[:3]) + (", …" if changed[3:] else "")
        verdict.problems.append(
            f"{molecules}: rows of {len(changed)} shards ({names}) are not those that the campaign began "
            "with; run the campaign again"
        )


def _rows(
    verdict: Verdict,
    campaign: Campaign,
    results: Path,
    shards: Sequence[Shard],
    report: Callable[[str], None],
) -> dict[str, list[Record]]:
    """Read every shard of every stage; the relaxed rows by target."""
    expected = rows_expected(campaign, shards)
    names: dict[str, list[list[tuple[str, int]] | None]] = {}
    relaxed: dict[str, list[Record]] = {}
    for stage in stages(campaign):
        report(f"reading {stage.name}")
        counts = expected[stage.name]
        statuses: Counter[str] = Counter()
        names[stage.name] = []
        for number in range(len(shards)):
            path = shard_path(results, stage, number)
            try:
                rows = read_shard(path)
            except ShardError as error:
                verdict.problems.append(str(error))
                names[stage.name].append(None)
                continue
            statuses.update(row.status for row in rows)
            names[stage.name].append([(row.id, row.conformer) for row in rows])
            if counts is not None and len(rows) != counts[number]:
                verdict.problems.append(f"{path}: {len(rows)} rows where the campaign has {counts[number]}")
            elif counts is not None and stage.source is not None and stage.kind != "sample":
                before = names[stage.source][number]
                if before is not None and before != names[stage.name][number]:
                    verdict.problems.append(f"{path}: its rows are not those of {stage.source}")
            for row in rows:
                verdict.problems += [f"{path}: row {row.id!r} {said}" for said in _contradictions(row)]
            if stage.name.startswith("relaxed/"):
                relaxed.setdefault(stage.name.split("/")[1], []).extend(rows)
        verdict.rows[stage.name] = dict(statuses.most_common())
    return relaxed


def _contradictions(row: Record) -> Iterator[str]:
    """What a row says of itself that its numbers do not."""
    if row.status in PROCEED and not (len(row.numbers) and np.isfinite(row.positions).all()):
        yield f"is {row.status} without a geometry"
    if row.converged and row.energy_ev is None:
        yield "converged without an energy"


def _isomers(verdict: Verdict, relaxed: Sequence[Record]) -> None:
    """Compare bonds and stereochemistry of relaxed geometries with the molecules and with what rows say."""
    for row in relaxed:
        if row.status not in PROCEED or not row.smiles or row.connectivity_unchanged is None:
            continue
        where = f"target {row.target}, start {row.start}, row {row.id!r}"
        verdict.n_geometries += 1
        try:
            found = changes(row.smiles, row.positions, row.start_positions)
        except ValueError as error:
            verdict.problems.append(f"{where}: {error}")
            continue
        verdict.n_other_bonds += bool(found.bonds)
        verdict.n_other_stereo += bool(found.stereo)
        said = {"bonds": row.connectivity_unchanged, "stereochemistry": row.stereo_unchanged is not False}
        for what, changed in (("bonds", found.bonds), ("stereochemistry", found.stereo)):
            if changed and said[what]:
                verdict.problems.append(f"{where}: its row does not say that {what} changed: {found}")
            elif not changed and not said[what]:
                verdict.problems.append(
                    f"{where}: its row speaks of changed {what}, which its geometry has not"
                )


def _comparison(verdict: Verdict, campaign: Campaign, results: Path, n_shards: int) -> None:
    if not campaign.targets:
        return
    folders = [
        results / relaxed_folder(target, start)
        for target in campaign.targets
        for start in campaign.relaxed_starts(target)
    ]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            said = compare(
                Path(scratch) / "comparison.csv", folders, Baseline.read(compared_with(campaign)), n_shards
            )
            verdict.notes += [line for line in said.splitlines() if line.startswith("note: ")]
            for name in ("comparison.csv", "summary.csv"):
                made, found = (Path(scratch) / name).read_bytes(), (results / name).read_bytes()
                if made != found:
                    verdict.problems.append(
                        f"{results / name}: not what the relaxed shards give; delete it and run again"
                    )
    except FileNotFoundError as error:
        verdict.problems.append(f"{error.filename}: no such file; run the campaign to its end")
    except UserError as error:
        verdict.problems.append(str(error))


def _computed_again(
    verdict: Verdict, target: str, at: Relaxation, rows: Sequence[Record], n_rows: int
) -> None:
    with_energy = [row for row in rows if row.energy_ev is not None and row.status in PROCEED]
    choose = random.Random(SEED)
    chosen = choose.sample(with_energy, min(n_rows, len(with_energy)))
    if not chosen:
        return
    allowed_ev = CHEAP_EV if is_cheap(at) else OTHER_EV
    found = verdict.computed_again[target] = Agreement()
    try:
        with WorkerPool(Relaxation.single_point(at.evaluated_level), Resources(), keep_paths=True) as pool:
            for index, result in pool.relax(chosen):
                row = chosen[index]
                if result.energy_ev is None or result.fmax_ev_ang is None or row.energy_ev is None:
                    verdict.problems.append(
                        f"target {target}, row {row.id!r}: {result.message or 'no energy'}"
                    )
                    continue
                off_ev = abs(result.energy_ev - row.energy_ev)
                off_force = abs(result.fmax_ev_ang - (row.fmax_ev_ang or 0.0))
                found.n += 1
                found.energy_ev = max(found.energy_ev, off_ev)
                found.force_ev_ang = max(found.force_ev_ang, off_force)
                if not (off_ev <= allowed_ev and off_force <= FORCE_EV_ANG):
                    verdict.problems.append(
                        f"target {target}, start {row.start}, row {row.id!r}: computed again its energy is "
                        f"{result.energy_ev:.6f} eV, not {row.energy_ev:.6f}, its largest force "
                        f"{result.fmax_ev_ang:.4f} eV/Å, not {row.fmax_ev_ang or 0.0:.4f}"
                    )
    except UserError as error:
        verdict.problems.append(f"target {target}: nothing could be computed again: {error}")


def _sums(verdict: Verdict, results: Path) -> None:
    """Compare the files with those noted before, and note them anew where nothing is wrong."""
    path = results / SUMS
    noted = _noted(path)
    moment = path.stat().st_mtime if path.is_file() else 0.0
    found: dict[str, str] = {}
    for file in _files(results):
        name = file.relative_to(results).as_posix()
        with file.open("rb") as content:
            found[name] = hashlib.file_digest(content, "sha256").hexdigest()
        if name in noted and noted[name] != found[name] and file.stat().st_mtime <= moment:
            verdict.problems.append(f"{file}: changed although nobody wrote it; delete it, run again")
    gone = [name for name in noted if name not in found]
    verdict.problems += [f"{results / name}: gone since it was noted in {SUMS}" for name in gone]
    verdict.n_files = len(found)
    verdict.n_files_as_noted = sum(noted.get(name) == digest for name, digest in found.items())
    if not verdict.problems:
        write_text_atomically(path, "".join(f"{digest}  {name}\n" for name, digest in sorted(found.items())))
        # A clock that was wrong may have dated files later than now; they count as noted all the same.
        last = max([time.time_ns(), *((results / name).stat().st_mtime_ns for name in found)])
        os.utime(path, ns=(last, last))


def _noted(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line.split("  ", 1) for line in path.read_text(errors="replace").splitlines())
    return {parts[1]: parts[0] for parts in lines if len(parts) == 2 and len(parts[0]) == 64}


def _files(results: Path) -> Iterator[Path]:
    """Files of the results that people and later stages read; what a run writes about itself is left out."""
    for path in sorted(results.rglob("*")):
        parts = path.relative_to(results).parts
        of_the_run = parts[0] in ("logs", "benchmarks") or "moved-aside" in parts or path.suffix == ".jsonl"
        if path.is_file() and not of_the_run and not path.name.startswith(".") and parts not in OWN:
            yield path
