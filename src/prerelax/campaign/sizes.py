"""How large the molecules of an input are, without chemistry for each: 10^6 rows in about ten seconds."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from prerelax.molecules.input_files import Row, read_rows
from prerelax.molecules.molecule import read_molecules

_ATOM = re.compile(r"\[[^\]]*\]|Br|Cl|[BCNOPSFIbcnops]")
_BRACKET = re.compile(r"\[\d*([A-Z][a-z]?|[a-z][a-z]?)")
_Z: dict[str, int] = {symbol: z for symbol, z in atomic_numbers.items() if z} | {"D": 1, "T": 1}
_Z |= {symbol.lower(): z for symbol, z in _Z.items() if symbol.lower() in ("b", "c", "n", "o", "p", "s")}
_SAMPLED_BLOCKS, _SAMPLED_ROWS = 4, 80


@dataclass(frozen=True)
class Sizes:
    """Estimated sizes of the neutral molecules of an input, [n_rows] each, hydrogens included."""

    electrons: NDArray[np.float64]
    atoms: NDArray[np.float64]
    heavy_atoms: NDArray[np.float64]


def sizes_of_input(path: Path) -> Sizes:
    """Sizes of all molecules of an input file, at least those of a hydrogen atom.

    Heavy atoms are counted in each row; how many hydrogens go with them is learnt from a few hundred rows
    that are read in full. Raises InputFileError as `prerelax.molecules.input_files.count_rows` does.
    """
    numbers = [_heavy_numbers(row) for row in read_rows(path)]
    heavy = np.array([len(each) for each in numbers], dtype=float)
    electrons = np.array([sum(each) for each in numbers], dtype=float)
    hydrogens = heavy * _hydrogens_per_heavy_atom(path, heavy)
    return Sizes(np.maximum(electrons + hydrogens, 1.0), np.maximum(heavy + hydrogens, 1.0), heavy)


def electrons_of_smiles(smiles: Sequence[str]) -> NDArray[np.float64]:
    """Electrons [n] of atom-mapped SMILES with all hydrogens, as shards have them; nan for an empty one."""
    return np.array([_mapped_electrons(text) or np.nan for text in smiles], dtype=float)


def _mapped_electrons(smiles: str) -> int:
    return sum(_atomic_number(symbol) for symbol in _BRACKET.findall(smiles or ""))


def _heavy_numbers(row: Row) -> list[int]:
    """Atomic numbers of the atoms that are no hydrogens."""
    if row.kind == "smiles":
        found: Iterable[int] = (
            _bracket_number(token) if token[0] == "[" else _Z[token] for token in _ATOM.findall(row.text)
        )
    else:
        lines = row.text.splitlines()
        symbols = (
            (line[31:34].strip() for line in lines[4:]) if row.kind == "sdf" else map(_first_word, lines)
        )
        found = map(_atomic_number, symbols)
    return [z for z in found if z > 1]


def _bracket_number(token: str) -> int:
    found = _BRACKET.match(token)
    return _atomic_number(found[1]) if found else 0


def _atomic_number(symbol: str) -> int:
    """Of a symbol, or of itself; 0 for what is no element. `[nH]` is read as its `n`."""
    if symbol in _Z:
        return _Z[symbol]
    if symbol.isdigit():  # as sets of structures have their atoms
        return int(symbol)
    return _Z.get(symbol.capitalize(), _Z.get(symbol[:1], 0))


def _first_word(line: str) -> str:
    return line.split(maxsplit=1)[0] if line.strip() else ""


def _hydrogens_per_heavy_atom(path: Path, heavy: NDArray[np.float64]) -> float:
    """From rows all over the file that are molecules."""
    rows_per_block = min(_SAMPLED_ROWS, len(heavy))
    begins = np.unique(np.linspace(0, len(heavy) - rows_per_block, _SAMPLED_BLOCKS).astype(int))
    n_hydrogens = n_heavy = 0.0
    for begin in begins.tolist():
        rows = slice(begin, begin + rows_per_block)
        for known, molecule in zip(heavy[rows], read_molecules(path, rows), strict=True):
            if molecule.mol is not None and known:
                n_heavy += known
                n_hydrogens += len(molecule.numbers) - known
    return n_hydrogens / n_heavy if n_heavy else 1.0
