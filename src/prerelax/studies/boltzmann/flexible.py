"""Which molecules the Boltzmann study is about: saturated chains, by paper E's filter on SMILES."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rdkit import Chem

from prerelax.errors import UserError
from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard

MAX_BRANCHES = 15
"""parentheses opened in a SMILES with explicit hydrogens (the paper's)"""
NOT_IN_A_CHAIN = "=#+-"
"""and no digit: multiple bonds, charges and rings"""


def is_flexible(smiles: str) -> bool:
    """Whether an atom-mapped SMILES passes the paper's filter: no '=', no '#', no digits, at most 15 '(' in
    the SMILES with explicit hydrogens (Chem. Sci. 2024, 15, 13506), and no charges.
    """
    try:
        text = Chem.MolToSmiles(mol_from_mapped_smiles(smiles))
    except ValueError:
        return False
    return (
        not any(letter in NOT_IN_A_CHAIN or letter.isdigit() for letter in text)
        and text.count("(") <= MAX_BRANCHES
    )


def flexible_molecules(shards: Sequence[Path], out: Path, molecules: int) -> int:
    """Write the first rows of `shards` that proceed and pass the filter, one conformer each; how many.

    At most `molecules`. Raises ShardError, and UserError where no row passes.
    """
    chosen: dict[str, Record] = {}
    for record in _rows(shards):
        if len(chosen) == molecules:
            break
        if record.proceeds and record.id not in chosen and is_flexible(record.smiles):
            chosen[record.id] = replace(record, target=None)
    if not chosen:
        raise UserError("no molecule is a saturated chain without charges; the study has nothing to sample")
    write_shard(out, list(chosen.values()))
    return len(chosen)


def _rows(shards: Sequence[Path]) -> Iterator[Record]:
    return (record for shard in shards for record in read_shard(shard))
