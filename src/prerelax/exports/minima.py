"""The minima of a campaign that are handed on: of each molecule and conformer the lowest reached."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ase.units import Hartree, kcal, mol
from rdkit import Chem

from prerelax.campaign.config import Campaign
from prerelax.campaign.layout import Layout, points_folder
from prerelax.campaign.sharding import SHARDS_FILE, read_shards, shard_name
from prerelax.comparison.single_points import Key, energies_in
from prerelax.engines import is_cheap
from prerelax.errors import UserError, nearest
from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.records.record import Record
from prerelax.records.shard import read_shard

Value = str | int | float | bool
"""of a data field"""


@dataclass(frozen=True)
class Minimum:
    """A relaxed geometry with what other programs ask about it."""

    record: Record
    lowest_ev: float | None
    """of the molecule's conformers"""
    single_points_ev: Mapping[str, float] = field(default_factory=dict)
    """at further levels, by name"""

    @property
    def name(self) -> str:
        """The molecule's id, with the conformer's number where that is not 0."""
        return f"{self.record.id}_c{self.record.conformer}" if self.record.conformer else self.record.id

    @property
    def energy_hartree(self) -> float | None:
        return _hartree(self.record.energy_ev)

    @property
    def relative_kcal_mol(self) -> float | None:
        """Energy above the molecule's lowest conformer."""
        if self.record.energy_ev is None or self.lowest_ev is None:
            return None
        return float((self.record.energy_ev - self.lowest_ev) / (kcal / mol))

    @property
    def has_other_bonds(self) -> bool:
        """Whether the relaxation made or broke bonds, so that the SMILES is of another molecule."""
        return self.record.connectivity_unchanged is False

    @property
    def is_other_isomer(self) -> bool:
        """Whether the relaxation kept the bonds and changed the configuration."""
        return not self.has_other_bonds and self.record.stereo_unchanged is False

    @cached_property
    def mol(self) -> Chem.Mol:
        """RDKit's molecule with this geometry, atoms in the user's order."""
        return mol_from_mapped_smiles(self.record.smiles, self.record.positions)

    @property
    def plain_smiles(self) -> str:
        """Canonical SMILES of the isomer, hydrogens implicit."""
        return str(Chem.MolToSmiles(Chem.RemoveHs(self.mol)))

    def fields(self, level: str) -> dict[str, Value]:
        """What a table or data field says of it, the user's columns first; unknown values are left out."""
        record = self.record
        said: dict[str, Value | None] = {
            "id": record.id,
            "conformer": record.conformer,
            "input_smiles": record.input_smiles,
            "smiles": self.plain_smiles if len(record.numbers) and record.smiles else None,
            "isomer": record.isomer,
            "charge": record.charge,
            "multiplicity": record.multiplicity,
            "level": level,
            "status": record.status,
            "message": record.message or None,
            "energy_hartree": _rounded(self.energy_hartree, 10),
            "relative_energy_kcal_mol": _rounded(self.relative_kcal_mol, 4),
            **{f"{name}_hartree": _rounded(_hartree(ev), 10) for name, ev in self.single_points_ev.items()},
            "gibbs_298_hartree": _rounded(_hartree(record.gibbs_298_ev), 10),
            "symmetry_number": record.symmetry_number,
            "n_imaginary": record.n_imaginary,
            "start": record.start,
            "n_gradients": record.n_gradients,
            "connectivity_unchanged": record.connectivity_unchanged,
            "stereo_unchanged": record.stereo_unchanged,
        }
        given: dict[str, Value] = {
            f"input_{name}" if name in said else name: value
            for name, value in (record.input_columns or {}).items()
        }
        return given | {name: value for name, value in said.items() if value is not None}


def _hartree(energy_ev: float | None) -> float | None:
    return None if energy_ev is None else float(energy_ev / Hartree)


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals) + 0.0


def chosen_target(campaign: Campaign, target: str | None) -> str:
    """The target asked for, else the first of a DFT program, else the first; usual practice is not chosen.

    Raises UserError for an unknown one.
    """
    if not campaign.targets:
        raise UserError("the campaign has no targets, so that nothing was relaxed")
    if target is None:
        names = [name for name in campaign.targets if name != campaign.baseline.target] or [*campaign.targets]
        dear = [name for name in names if not is_cheap(campaign.targets[name])]
        return (dear or names)[0]
    if target not in campaign.targets:
        raise UserError(f"{target} is not among the targets{nearest(target, campaign.targets)}")
    return target


def minima(campaign: Campaign, directory: Path, target: str, lowest_only: bool = False) -> Iterator[Minimum]:
    """The rows of a target, shard by shard in the input's order; of several starts the lowest minimum.

    Other targets of the same level count as well. A converged row counts before one that is not, and a row
    with its own bonds and configuration before one without. With `lowest_only` one row for each molecule, its
    lowest conformer. Raises UserError where the campaign has not come to this target.
    """
    layout = Layout.of(campaign.campaign)
    shards = read_shards(directory / layout.results / SHARDS_FILE)
    folders = [
        layout.relaxations(name, start)
        for name in campaign.targets
        if campaign.targets[name].level == campaign.targets[target].level
        for start in campaign.relaxed_starts(name)
    ]
    points = _single_points(campaign, directory / layout.results)
    found_any = False
    for number in range(len(shards)):
        files = [directory / folder / f"{shard_name(number)}.extxyz" for folder in folders]
        rows = [read_shard(file) for file in files if file.is_file()]
        found_any = found_any or bool(rows)
        yield from (
            replace(each, single_points_ev=_of(each, points)) for each in _of_shard(rows, lowest_only)
        )
    if not found_any:
        raise UserError(
            f"{directory / layout.results}: nothing is relaxed at {target} yet; run the campaign first"
        )


def _single_points(campaign: Campaign, results: Path) -> dict[str, dict[Key, float]]:
    """Energies at further levels, by the level's name."""
    found: dict[str, dict[Key, float]] = {}
    for name in campaign.single_points:
        target = campaign.evaluated_target(name)
        for start in campaign.relaxed_starts(target):
            energies = energies_in(results / points_folder(name, target, start), target, start)
            found.setdefault(name, {}).update(energies)
    return found


def _of(minimum: Minimum, points: Mapping[str, Mapping[Key, float]]) -> dict[str, float]:
    row = minimum.record
    key = (row.target or "", row.start, row.id, row.conformer)
    return {name: energies[key] for name, energies in points.items() if key in energies}


def unfinished_shards(campaign: Campaign, directory: Path, target: str) -> int:
    """How many shards a start has still to be relaxed in at this target, so that minima may be missing."""
    layout = Layout.of(campaign.campaign)
    n_shards = len(read_shards(directory / layout.results / SHARDS_FILE))
    folders = [directory / layout.relaxations(target, start) for start in campaign.relaxed_starts(target)]
    return sum(
        not all((folder / f"{shard_name(number)}.extxyz").is_file() for folder in folders)
        for number in range(n_shards)
    )


def _of_shard(of_starts: Sequence[Sequence[Record]], lowest_only: bool) -> Iterator[Minimum]:
    best: dict[tuple[str, int], Record] = {}
    for record in (record for rows in of_starts for record in rows):
        key = (record.id, record.conformer)
        if key not in best or _rank(record) < _rank(best[key]):
            best[key] = record
    molecules: dict[str, list[Record]] = {}
    for record in best.values():
        molecules.setdefault(record.id, []).append(record)
    for rows in molecules.values():
        whole = [row.energy_ev for row in rows if row.energy_ev is not None and not _rank(row)[0]]
        kept = [min(rows, key=_rank)] if lowest_only else rows
        yield from (Minimum(row, min(whole, default=None)) for row in kept)


def _rank(record: Record) -> tuple[bool, bool, float]:
    """Lower is better."""
    no_energy = record.energy_ev is None or not record.proceeds
    return not record.is_same_molecule or no_energy, not record.converged, record.energy_ev or 0.0
