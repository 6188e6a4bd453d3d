"""The molecules that a page shows: drawings, counts and geometries, of a sample where there are many."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D

from prerelax.campaign.layout import relaxed_folder
from prerelax.comparison.ends import DEEPER, HIGHER, SAME, UNDECIDED
from prerelax.comparison.page.methods import Method
from prerelax.comparison.pairs import BASELINE, UNPAIRED
from prerelax.records.shard import read_shard

MAX_MOLECULES = 300
_DRAWING = (150, 100)
"""pixels"""
_FIRST_SHARDS = 40
"""shards read at most for geometries"""


def shown_molecules(methods: Sequence[Method], results: Path) -> tuple[list[dict[str, Any]], int]:
    """What the table of a page shows of each molecule (id, conformer), and how many there are in all.

    Of more than MAX_MOLECULES a random sample, always the same one. Each has `id`, `smiles`, `drawing` (SVG),
    `n_atoms`, and `methods`: for each method its counts, saving, energy difference, status and, where its
    shard is there, the relaxed geometry as XYZ.
    """
    if not methods:
        return [], 0
    rows = pd.concat([each.rows.assign(method=place) for place, each in enumerate(methods)])
    molecules = rows[["id", "conformer"]].drop_duplicates()
    n_all = len(molecules)
    if n_all > MAX_MOLECULES:
        chosen = np.random.default_rng(0).choice(n_all, MAX_MOLECULES, replace=False)
        molecules = molecules.iloc[np.sort(chosen)]
    rows = rows.merge(molecules, on=["id", "conformer"])
    geometries = [_geometries(results, each, set(molecules["id"])) for each in methods]
    found: dict[tuple[str, float], dict[str, Any]] = {}
    for row in rows.to_dict("records"):
        key = (row["id"], row["conformer"])
        if key not in found:
            found[key] = _molecule(row)
        xyz = geometries[row["method"]].get((row["id"], int(row["conformer"])))
        found[key]["methods"][row["method"]] = _of_method(row, xyz)
    return list(found.values()), n_all


def _molecule(row: dict[Any, Any]) -> dict[str, Any]:
    mol = _plain(row["smiles"])
    return {
        "id": row["id"] if not row["conformer"] else f"{row['id']} · conformer {int(row['conformer'])}",
        "smiles": Chem.MolToSmiles(mol) if mol is not None else row["smiles"],
        "drawing": _drawing(mol) if mol is not None else "",
        "n_atoms": _number(row["n_atoms"], 0),
        "methods": {},
    }


_NOTES = {
    BASELINE: "",
    UNPAIRED: "",
    SAME: "",
    DEEPER: "deeper minimum",
    HIGHER: "higher minimum",
    UNDECIDED: "one minimum or two",
}


def _of_method(row: dict[Any, Any], xyz: str | None) -> dict[str, Any]:
    said = {
        "gradients": _number(row["n_gradients"], 0),
        "saved": _number(row["gradients_saved_percent"], 1),
        "delta": _number(row["delta_kcal_mol"], 2),
        "note": _NOTES.get(row["pair"], row["pair"]),
        "fallback": row["fallback"] if isinstance(row["fallback"], str) else "",
        "xyz": xyz,
    }
    return {name: value for name, value in said.items() if value not in (None, "")}


def _number(value: Any, decimals: int) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    return round(float(value), decimals) if decimals else int(value)


def _plain(smiles: Any) -> Chem.Mol | None:
    mol = Chem.MolFromSmiles(smiles) if isinstance(smiles, str) and smiles else None
    if mol is None:
        return None
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    return Chem.RemoveHs(mol)


def _drawing(mol: Chem.Mol) -> str:
    drawer = rdMolDraw2D.MolDraw2DSVG(*_DRAWING)
    options = drawer.drawOptions()
    options.clearBackground = False  # type: ignore[assignment]
    drawer.DrawMolecule(rdMolDraw2D.PrepareMolForDrawing(mol))
    drawer.FinishDrawing()
    text: str = drawer.GetDrawingText()
    return text[text.index("<svg") :]


def _geometries(results: Path, method: Method, ids: set[str]) -> dict[tuple[str, int], str]:
    folder = results / relaxed_folder(method.target, method.start)
    shards = sorted(folder.glob("*.extxyz"))
    if len(shards) > _FIRST_SHARDS:
        shards = shards[:: -(-len(shards) // _FIRST_SHARDS)]
    found = {}
    for shard in shards:
        for record in read_shard(shard):
            if record.id in ids and len(record.numbers):
                found[record.id, record.conformer] = _xyz(record.numbers, record.positions)
    return found


def _xyz(numbers: NDArray[np.integer], positions: NDArray[np.floating]) -> str:
    lines = [
        f"{chemical_symbols[z]} {x:.3f} {y:.3f} {t:.3f}"
        for z, (x, y, t) in zip(numbers, positions, strict=True)
    ]
    return "\n".join([str(len(lines)), "", *lines])
