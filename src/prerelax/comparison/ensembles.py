"""Of molecules with several conformers: the lowest, Boltzmann weights, and what sorting out spared.

`comparison.csv` then has three more columns, within one target and start:

- `relative_kcal_mol`: above the molecule's lowest minimum;
- `same_as`: the conformer, lower in energy, whose minimum this one is as well;
- `boltzmann_weight`: at 298.15 K by the electronic energies, over the molecule's different minima; a chiral
  minimum of a molecule that is its own mirror image counts twice, once for each hand.

`ensembles.csv` has a row for each target, start and molecule: `n_conformers` to begin with; of those
`n_same` that are another one, `n_above` the window, `n_relaxed` at the target, and `n_failed`, all others,
such as those without a minimum at the cheap level; `n_minima` different ones; `lowest_conformer`,
`lowest_energy_ev`, `lowest_weight`; `n_gradients` spent at the target; `n_gradients_spared_same`,
`n_gradients_spared_above`: conformers that were not kept times the mean of those relaxed.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from ase import units
from numpy.typing import NDArray
from rdkit import Chem

from prerelax.comparison.ends import (
    ALIKE_ANG,
    RESOLUTION_KCAL_MOL,
    UNKNOWN_KCAL_MOL,
    Floats,
    geometry_reader,
    rmsd_of_ends,
)
from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.starts.conformers.distinct import Skeleton
from prerelax.starts.conformers.keeping import ABOVE, KCAL_MOL, SAME

TEMPERATURE_K = 298.15
COLUMNS = ("relative_kcal_mol", "same_as", "boltzmann_weight")


def with_weights(table: pa.Table) -> pa.Table:
    """`table` of `read_relaxations` with COLUMNS, where a molecule has several conformers; else as it is."""
    if not table.num_rows or not pc.max(table["conformer"]).as_py():
        return table
    energy = table["energy_ev"].to_numpy().astype(float)
    fine = _is_minimum(table) & np.isfinite(energy)
    molecules = [rows[fine[rows]] for rows in _by_molecule(table)]
    molecules = [rows[np.argsort(energy[rows], kind="stable")] for rows in molecules if len(rows)]
    relative, weights = np.full((2, table.num_rows), np.nan)
    for rows in molecules:
        relative[rows] = (energy[rows] - energy[rows[0]]) / KCAL_MOL
    same_as = _same_as(table, molecules, relative)
    factors = np.exp(-relative / (units.kB * TEMPERATURE_K / KCAL_MOL)) * np.isnan(same_as)
    factors *= _hands(table, [rows[np.isnan(same_as[rows])] for rows in molecules])
    for rows in molecules:
        weights[rows] = factors[rows] / factors[rows].sum()
    columns = (relative, same_as, weights)
    for name, values in zip(COLUMNS, columns, strict=True):
        made = pa.array(values, from_pandas=True)
        table = table.append_column(name, made.cast(pa.int64()) if name == "same_as" else made)
    return table


def _same_as(table: pa.Table, molecules: Sequence[NDArray[np.int64]], relative: Floats) -> Floats:
    """[n_rows] number of the lower conformer whose minimum a row is as well, nan where it is its own.

    `molecules` hold rows by ascending energy, `relative` [n_rows] that energy in kcal/mol.
    """
    left = table["energy_left_kcal_mol"].to_numpy().astype(float)
    unsure = np.where(np.isfinite(left), left, UNKNOWN_KCAL_MOL)
    pairs = [
        (row, lower)
        for rows in molecules
        for place, row in enumerate(rows.tolist())
        for lower in rows[:place].tolist()
        if relative[row] - relative[lower] <= RESOLUTION_KCAL_MOL + unsure[row] + unsure[lower]
    ]
    places, mates = (np.array([pair[side] for pair in pairs], dtype=int) for side in (0, 1))
    alike = rmsd_of_ends(table, places, mates) <= ALIKE_ANG
    conformer, same_as = table["conformer"].to_numpy(), np.full(table.num_rows, np.nan)
    for row, mate in zip(places[alike].tolist(), mates[alike].tolist(), strict=True):
        if np.isnan(same_as[row]) and np.isnan(same_as[mate]):
            same_as[row] = conformer[mate]
    return same_as


def _hands(table: pa.Table, molecules: Sequence[NDArray[np.int64]]) -> Floats:
    """[n_rows] 2 for chiral minima of a molecule that is its own mirror image, which has both; else 1."""
    factors = np.ones(table.num_rows)
    if "frame" not in table.column_names:
        return factors
    smiles, geometry = table["smiles"].to_pylist(), geometry_reader(table)
    for rows in molecules:
        try:
            mol = mol_from_mapped_smiles(smiles[rows[0]])
        except ValueError:
            continue
        if not _is_own_mirror_image(mol):
            continue
        skeleton = Skeleton.of(mol)
        for row in rows.tolist():
            positions = geometry(row)
            factors[row] += len(positions) > 3 and skeleton.rmsd_ang(-positions, positions) > ALIKE_ANG
    return factors


def _is_own_mirror_image(mol: Chem.Mol) -> bool:
    plain = Chem.RemoveHs(mol)
    mirrored = Chem.Mol(plain)
    for atom in mirrored.GetAtoms():
        atom.InvertChirality()
    return bool(Chem.MolToSmiles(plain) == Chem.MolToSmiles(mirrored))


def _is_minimum(table: pa.Table) -> NDArray[np.bool_]:
    """Converged, with the molecule's bonds and configuration, and not known to be a saddle point."""
    fine = pc.fill_null(table["converged"], False)
    for name in ("connectivity_unchanged", "stereo_unchanged"):
        fine = pc.and_(fine, pc.fill_null(table[name], True))
    fine = pc.and_(fine, pc.less_equal(pc.fill_null(table["n_imaginary"], 0), 0))
    mask: NDArray[np.bool_] = fine.to_numpy().astype(bool)
    return mask


def _by_molecule(table: pa.Table) -> list[NDArray[np.int64]]:
    keys = pd.DataFrame({name: table[name].to_pandas() for name in ("target", "start", "id")})
    grouped = keys.groupby(list(keys), sort=False, observed=True).indices
    return [np.asarray(rows, dtype=np.int64) for rows in grouped.values()]


def ensembles(comparison: pd.DataFrame) -> pd.DataFrame:
    """`ensembles.csv` of a comparison with COLUMNS."""
    grouped = comparison.groupby(["target", "start", "id"], sort=False, observed=True)
    return pd.DataFrame([_of_molecule(rows) for _, rows in grouped])


def _of_molecule(rows: pd.DataFrame) -> dict[str, object]:
    skipped = rows["message"].where(rows["status"] == "skipped", "").fillna("").astype(str)
    n_same, n_above = (int(skipped.str.startswith(words).sum()) for words in (SAME, ABOVE))
    gradients = rows["n_gradients"].dropna()
    mean = float(gradients.mean()) if len(gradients) else float("nan")
    weights = rows["boltzmann_weight"]
    minima = rows[rows["relative_kcal_mol"] == 0.0]
    lowest = minima.iloc[0] if len(minima) else None
    return {
        **{name: rows[name].iloc[0] for name in ("target", "start", "id")},
        "n_conformers": len(rows),
        "n_same": n_same,
        "n_above": n_above,
        "n_relaxed": len(gradients),
        "n_failed": len(rows) - n_same - n_above - len(gradients),
        "n_minima": int((weights > 0).sum()),
        "lowest_conformer": None if lowest is None else int(lowest["conformer"]),
        "lowest_energy_ev": None if lowest is None else lowest["energy_ev"],
        "lowest_weight": None if lowest is None else lowest["boltzmann_weight"],
        "n_gradients": int(gradients.sum()),
        "n_gradients_spared_same": n_same * mean,
        "n_gradients_spared_above": n_above * mean,
    }


def ensembles_text(found: pd.DataFrame) -> list[str]:
    """A sentence for each target and start whose conformers were sorted out."""
    lines = []
    for (target, start), rows in found.groupby(["target", "start"], sort=False, observed=True):
        sums = rows.sum(numeric_only=True)
        if not sums["n_same"] + sums["n_above"]:
            continue
        n = {name: f"{value:.0f}" for name, value in sums.items()}
        lines.append(
            f"conformers at {target} from {start}: {n['n_conformers']} of {len(rows)} molecules, "
            f"{n['n_relaxed']} relaxed to {n['n_minima']} minima\n"
            f"  not kept: {n['n_same']} the same as another one, {n['n_above']} above the window; about "
            f"{n['n_gradients_spared_same']} and {n['n_gradients_spared_above']} gradients spared\n"
            "  the lowest conformers and Boltzmann weights: ensembles.csv, comparison.csv"
        )
    return lines
