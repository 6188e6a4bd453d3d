"""Which conformers of a molecule go on to the targets: the different ones within a window of energy.

As CENSO sorts an ensemble out at a cheap level before a dear one (Grimme et al., J. Phys. Chem. A 2021, 125,
4039). Rows stay: those that do not go on are `skipped`, and say why.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from ase import units
from rdkit import Chem

from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.starts.conformers.distinct import Skeleton

KCAL_MOL = units.kcal / units.mol
"""eV"""
SAME_ENERGY_KCAL_MOL = 0.3
"""Minima of one conformer, relaxed to 0.03 eV/Å, differ by no more; conformers of one RMSD may."""
SAME, ABOVE = "the same conformer as ", "above the window: "
"""How the messages of conformers begin that are not kept, and why."""


def is_left_out(record: Record) -> bool:
    """Whether a row is a conformer that was not kept."""
    return record.status == "skipped" and record.message.startswith((SAME, ABOVE))


def keep_shard(
    inp: Path, judged: Path | None, out: Path, *, at: str, window_kcal_mol: float, rmsd_ang: float
) -> list[Record]:
    """Write the rows of `inp`, those `skipped` whose conformers do not go on; returns them.

    `inp` are minima of the start `at`, which decide; or, with `judged`, the same rows of another start, and
    `judged` is what was decided. Raises ShardError for a broken shard.
    """
    records = read_shard(inp)
    if judged is None:
        rows = [
            row
            for _, group in groupby(records, key=lambda record: record.id)
            for row in kept(list(group), at, window_kcal_mol, rmsd_ang)
        ]
    else:
        rows = [_as_judged(*pair, at) for pair in zip(records, read_shard(judged), strict=True)]
    write_shard(out, rows)
    return rows


def kept(records: Sequence[Record], at: str, window_kcal_mol: float, rmsd_ang: float) -> list[Record]:
    """The conformers of one molecule, in their order; all but those that go on `skipped`.

    Of conformers that are the same the lowest goes on. Mirror images are alike, for they have one energy.
    """
    rows = list(records)
    minima = [(record.cheap_energy_ev, place) for place, record in enumerate(rows) if record.proceeds]
    by_energy = sorted((energy, place) for energy, place in minima if energy is not None)
    if not by_energy:
        return rows
    skeleton = _skeleton(rows[by_energy[0][1]])
    lowest, chosen = by_energy[0][0], list[int]()
    for energy, place in by_energy:
        above = (energy - lowest) / KCAL_MOL
        if above > window_kcal_mol:
            why = f"{ABOVE}{above:.1f} kcal/mol above the lowest at {at}, {window_kcal_mol:g} are kept"
        else:
            why = _same_as_one(rows, place, chosen, skeleton, rmsd_ang)
        if why:
            rows[place] = replace(rows[place], status="skipped", message=why)
        else:
            chosen.append(place)
    return rows


def _same_as_one(
    rows: Sequence[Record], place: int, chosen: Sequence[int], skeleton: Skeleton | None, rmsd_ang: float
) -> str:
    """That a conformer is one of the chosen, in words; empty where it is not."""
    own = rows[place]
    for other in (rows[each] for each in reversed(chosen)):
        apart = ((own.cheap_energy_ev or 0.0) - (other.cheap_energy_ev or 0.0)) / KCAL_MOL
        if skeleton is None or apart > SAME_ENERGY_KCAL_MOL:
            break
        rmsd = min(skeleton.rmsd_ang(sign * own.positions, other.positions) for sign in (1, -1))
        if rmsd < rmsd_ang:
            return f"{SAME}{other.conformer} ({rmsd:.2f} Å and {apart:.2f} kcal/mol apart)"
    return ""


def _skeleton(record: Record) -> Skeleton | None:
    """None without a graph."""
    try:
        mol: Chem.Mol = mol_from_mapped_smiles(record.smiles)
    except ValueError:
        return None
    return Skeleton.of(mol)


def _as_judged(record: Record, verdict: Record, at: str) -> Record:
    if not record.proceeds or verdict.proceeds:
        return record
    message = verdict.message if verdict.status == "skipped" else f"no minimum at {at}: {verdict.message}"
    return replace(record, status="skipped", message=message)
