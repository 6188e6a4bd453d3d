"""Validity, uniqueness and novelty of generated molecules from their coordinates alone.

Two definitions of validity, side by side: bonds and their orders from tabulated lengths, every atom's valence
satisfied, one fragment (Gebauer et al., NeurIPS 2019; with the table of EDM's code, as MoreRed's code has
it); and RDKit's perception of a neutral closed-shell molecule. What is unique and novel is told by canonical
SMILES without stereochemistry.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from scipy.sparse.csgraph import connected_components
from scipy.stats import binomtest

from prerelax.datasets.structures import read_npz
from prerelax.errors import UserError
from prerelax.molecules.bond_orders import VALENCES, allowed, bond_orders, valences
from prerelax.molecules.perception import perceived_molecule
from prerelax.records.atomic_write import write_text_atomically
from prerelax.studies.from_noise.samples import Samples

PAPER_PERCENT = {
    "ddpm": {"V": 78.2, "V+U": 77.3, "V+U+N": 62.5},
    "adaptive": {"V": 89.3, "V+U": 88.0, "V+U+N": 68.6},
}
"""Paper M, table 1, networks of the usual size; `ddpm` is the fixed schedule."""
DEFINITIONS = ("table", "rdkit")
CUMULATIVE = ("V", "V+U", "V+U+N")
BOND_TYPES = (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)


@dataclass(frozen=True)
class Verdict:
    """What one geometry is."""

    satisfied: float
    """share of atoms whose valence is satisfied, by the table of bond lengths"""
    connected: bool
    """whether these bonds make one fragment of it"""
    table_smiles: str | None
    """canonical SMILES without stereochemistry of what is valid by the table; None: not valid"""
    rdkit_smiles: str | None = None
    """the same of what RDKit perceives as one neutral fragment without radicals; None: not valid"""


NOTHING = Verdict(0.0, False, None)
"""Of what is no geometry of elements that the table has."""


def verdict(numbers: NDArray[np.integer], positions: NDArray[np.floating]) -> Verdict:
    """Judge a geometry of atomic numbers [n] and positions [n, 3] Å; never raises."""
    by_table = _by_table(numbers, positions)
    return (
        by_table if by_table is NOTHING else replace(by_table, rdkit_smiles=_rdkit_smiles(numbers, positions))
    )


def table_smiles(numbers: NDArray[np.integer], positions: NDArray[np.floating]) -> str | None:
    """Canonical SMILES without stereochemistry of a molecule that is valid by the table, else None."""
    return _by_table(numbers, positions).table_smiles


def _by_table(numbers: NDArray[np.integer], positions: NDArray[np.floating]) -> Verdict:
    """The verdict of the table alone."""
    if not np.isin(numbers, list(VALENCES)).all() or not np.isfinite(positions).all():
        return NOTHING
    orders = bond_orders(numbers, positions)
    satisfied = allowed(numbers, valences(orders))
    connected = bool(connected_components(orders > 0, directed=False)[0] == 1)
    smiles = _smiles_of_orders(numbers, orders) if connected and satisfied.all() else None
    return Verdict(float(satisfied.mean()), connected, smiles)


def _smiles_of_orders(numbers: NDArray[np.integer], orders: NDArray[np.integer]) -> str | None:
    mol = Chem.RWMol()
    for number in numbers:
        atom = Chem.Atom(int(number))
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for i, j in np.argwhere(np.triu(orders)):
        mol.AddBond(int(i), int(j), BOND_TYPES[orders[i, j] - 1])
    return _canonical(mol)


def _rdkit_smiles(numbers: NDArray[np.integer], positions: NDArray[np.floating]) -> str | None:
    # An odd number of electrons is no closed shell: asked for as a radical it could be perceived after all.
    if int(np.sum(numbers)) % 2 == 1:
        return None
    try:
        mol = perceived_molecule(np.asarray(numbers, dtype=int), np.asarray(positions, dtype=float), 0, 1)
    except (ValueError, RuntimeError):
        return None
    if len(Chem.GetMolFrags(mol)) > 1 or any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
        return None
    return _canonical(mol)


def _canonical(mol: Chem.Mol) -> str | None:
    """Canonical SMILES without stereochemistry, hydrogens implicit; None where RDKit refuses the molecule."""
    with rdBase.BlockLogs():
        try:
            plain = Chem.Mol(mol)
            Chem.SanitizeMol(plain)
            Chem.RemoveStereochemistry(plain)  # RDKit keeps hydrogens that stereochemistry needs
            plain = Chem.RemoveHs(plain)
            return str(Chem.MolToSmiles(plain, isomericSmiles=False))
        except ValueError:  # all that RDKit's sanitization raises
            return None


def known_smiles(files: Iterable[Path]) -> Iterator[str]:
    """SMILES as `verdict` writes them of what npz sets of structures and files of SMILES hold.

    Lines that RDKit cannot read and structures that are not valid by the table are left out. Raises
    UserError for a file that cannot be read.
    """
    for path in files:
        try:
            found: Iterable[str | None]
            if path.suffix == ".npz":
                found = (table_smiles(numbers, positions) for _, numbers, positions in read_npz(path))
            else:
                found = map(_canonical_text, path.read_text().splitlines())
            yield from (smiles for smiles in found if smiles)
        except (OSError, ValueError, BadZipFile) as error:
            raise UserError(f"{path}: neither a set of structures nor SMILES ({error})") from error


def _canonical_text(line: str) -> str | None:
    words = line.split()
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(words[0]) if words else None
    return None if mol is None else _canonical(mol)


def write_known(path: Path, files: Iterable[Path]) -> int:
    """Write the known molecules of `files`, one a line; returns how many they are."""
    known = sorted(set(known_smiles(files)))
    write_text_atomically(path, "\n".join(known) + "\n")
    return len(known)


def judge(samples: Samples) -> pd.DataFrame:
    """A row for each molecule and iteration limit (`limit`, 0 for its end): validity and SMILES by both
    definitions.

    What blew up is not valid. RDKit, which takes long, is asked about the ends alone.
    """
    rows: list[dict[str, object]] = []
    for row, atoms in enumerate(samples.atoms_of()):
        numbers = samples.numbers[atoms]
        about = {
            "id": str(samples.ids[row]),
            "heavy_atoms": int((numbers > 1).sum()),
            "status": str(samples.status[row]),
            "iterations": int(samples.iterations[row]),
        }
        end = verdict(numbers, samples.positions[atoms])
        if about["status"] == "unknown_error":
            end = NOTHING
        rows.append({**about, "limit": 0, **vars(end)})
        for limit, positions in zip(samples.limits, samples.positions_at_limits[:, atoms], strict=True):
            rows.append({**about, "limit": int(limit), "table_smiles": table_smiles(numbers, positions)})
    return pd.DataFrame(rows)


def shares(smiles: Sequence[str | None], known: frozenset[str]) -> dict[str, float]:
    """V, V+U and V+U+N, cumulative as in the paper: shares of all of `smiles`, None for what is not valid.

    A molecule counts as unique where it appears first, and then as novel where it is not known.
    """
    valid = [text for text in smiles if isinstance(text, str)]
    unique = set(valid)
    n = max(len(smiles), 1)
    return {"V": len(valid) / n, "V+U": len(unique) / n, "V+U+N": len(unique - known) / n}


def summarise(judged: pd.DataFrame, known: frozenset[str]) -> pd.DataFrame:
    """V, V+U and V+U+N in per cent with 95 % intervals (Wilson), beside the paper's, for every composition
    set, run, definition and limit of `judged`.
    """
    rows = []
    for (compositions, run, sampler, limit), group in judged.groupby(
        ["compositions", "run", "sampler", "limit"], sort=False
    ):
        paper = PAPER_PERCENT["ddpm" if sampler == "ddpm" else "adaptive"]
        for definition in DEFINITIONS if limit == 0 else DEFINITIONS[:1]:
            column = group[f"{definition}_smiles"].astype(object)
            for name, share in shares(column.where(column.notna(), None).tolist(), known).items():
                low, high = interval_percent(round(share * len(group)), len(group))
                rows.append(
                    {
                        "compositions": compositions,
                        "run": run,
                        "sampler": sampler,
                        "limit": limit,
                        "validity_by": definition,
                        "quantity": name,
                        "n": len(group),
                        "percent": 100 * share,
                        "ci_low": low,
                        "ci_high": high,
                        "paper_percent": paper[name] if limit == 0 and definition == "table" else np.nan,
                    }
                )
    return pd.DataFrame(rows)


def interval_percent(count: int, n: int) -> tuple[float, float]:
    """95 % interval (Wilson) of a share of `n`, in per cent; the whole range where n = 0."""
    if n == 0:
        return 0.0, 100.0
    interval = binomtest(count, n).proportion_ci(0.95, "wilson")
    return 100 * float(interval.low), 100 * float(interval.high)


def summarise_runs(judged: pd.DataFrame) -> pd.DataFrame:
    """How the molecules of every run ended: statuses, iterations, satisfied valences, fragments."""
    ends = judged[judged["limit"] == 0]
    rows = []
    for (compositions, run), group in ends.groupby(["compositions", "run"], sort=False):
        rows.append(
            {
                "compositions": compositions,
                "run": run,
                "model": group["model"].iloc[0],
                "sampler": group["sampler"].iloc[0],
                "n": len(group),
                "heavy_atoms_median": group["heavy_atoms"].median(),
                "arrived_percent": 100 * (group["status"] == "ok").mean(),
                "blew_up_percent": 100 * (group["status"] == "unknown_error").mean(),
                "iterations_median": group["iterations"].median(),
                "satisfied_atoms_percent": 100 * group["satisfied"].mean(),
                "connected_percent": 100 * group["connected"].astype(float).mean(),
            }
        )
    return pd.DataFrame(rows)
