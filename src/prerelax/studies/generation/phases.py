"""What happens when along a generating chain: exploration, then relaxation (paper E, figure 2)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prerelax.molecules.bond_orders import allowed, bond_orders, valences
from prerelax.studies.generation.chains import Chains

PAPER_FINAL_STEP = 50
"""Paper E, figure 2 (T = 1000): elements settle near here."""
LARGEST_RADIUS_ANG = 30.0
"""A molecule with an atom further from its centre, or not a number, has blown up."""
ONE_HOT_SCALE = 4.0
"""By which EDM divides the features of elements; its factors are 1, 4, 10: positions, elements, charges."""
SHARES = ("element", "settled_element", "valence", "settled_valence", "valid_valence")


@dataclass(frozen=True)
class Phases:
    """The phases of many chains together."""

    table: pd.DataFrame
    """a row for each state: `steps_left` (network calls to come), `sigma_ang`, `step_size_ang` (mean over
    atoms of the move to the next state) and `bond_error_ang` (mean deviation of the finished molecule's bonds
    from their final lengths), both with standard deviations (`_sd`), and for atoms (`_atoms`) and whole
    molecules (`_molecules`) the shares that have their final element and valence now, have them from here on
    (settled), and an allowed valence; `null_element_atoms`, `null_element_molecules`: settled elements as the
    noise alone makes them"""
    settled_step: NDArray[np.int64]
    """[n_molecules] steps left when a molecule's elements changed last; 0: they changed at the end"""
    blown_up: int
    """chains left out"""
    valid_atoms: float
    """share of finished atoms with an allowed valence"""
    valid_molecules: float


def phases(chains: Chains) -> Phases:
    """The phases of `chains`; those that blew up are left out and counted."""
    kept = [(x, z) for x, z in chains if not has_blown_up(x)]
    n_blown_up = len(chains.n_atoms) - len(kept)
    if not kept:
        return Phases(pd.DataFrame(), np.zeros(0, dtype=np.int64), n_blown_up, np.nan, np.nan)
    per_atom: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in SHARES}
    steps, errors, settled = [], [], []
    for positions, numbers in kept:
        orders = bond_orders(numbers, positions)
        flags = _flags(numbers, valences(orders))
        for name, flag in flags.items():
            per_atom[name].append(flag)
        steps.append(np.linalg.norm(np.diff(positions.astype(np.float64), axis=0), axis=-1))
        errors.append(_bond_errors(positions, orders[-1] > 0))
        settled.append(_last_change(flags["settled_element"]))
    columns: dict[str, NDArray[np.float64]] = {}
    for name, of_molecules in per_atom.items():
        columns[f"{name}_atoms"] = np.concatenate(of_molecules, axis=1).mean(axis=1)
        whole = np.stack([flag.all(axis=1) for flag in of_molecules], axis=1)
        columns[f"{name}_molecules"] = whole.mean(axis=1)
    table = pd.DataFrame(
        {
            "steps_left": chains.steps_left,
            "sigma_ang": np.append(chains.sigma[::-1], 0.0),
            "step_size_ang": np.append(np.concatenate(steps, axis=1).mean(axis=1), np.nan),
            "step_size_sd": np.append(np.concatenate(steps, axis=1).std(axis=1), np.nan),
            "bond_error_ang": _over_bonds(errors, len(chains.positions), np.mean),
            "bond_error_sd": _over_bonds(errors, len(chains.positions), np.std),
            **columns,
            **_null_elements(chains),
        }
    )
    final = table.iloc[-1]
    return Phases(
        table,
        np.array(settled),
        n_blown_up,
        float(final["valid_valence_atoms"]),
        float(final["valid_valence_molecules"]),
    )


def has_blown_up(positions: NDArray[np.floating]) -> bool:
    """Whether a chain [T + 2, n, 3] Å ends where no molecule is, or ceases to be numbers."""
    final = np.asarray(positions[-1], dtype=np.float64)
    if not np.isfinite(positions).all():
        return True
    return bool(np.linalg.norm(final - final.mean(axis=0), axis=-1).max() > LARGEST_RADIUS_ANG)


def _flags(numbers: NDArray[np.integer], valence: NDArray[np.integer]) -> dict[str, NDArray[np.bool_]]:
    """[T + 2, n] for each of SHARES."""
    element, final_valence = numbers == numbers[-1], valence == valence[-1]
    return {
        "element": element,
        "settled_element": from_here_on(element),
        "valence": final_valence,
        "settled_valence": from_here_on(final_valence),
        "valid_valence": allowed(numbers, valence),
    }


def from_here_on(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether `flags` [n_states, ...] hold at a state and at all that follow it."""
    kept: NDArray[np.bool_] = np.logical_and.accumulate(flags[::-1], axis=0)[::-1]
    return kept


def _last_change(settled: NDArray[np.bool_]) -> int:
    """Steps left at the first state from which on all atoms are settled; `settled` is [n_states, n]."""
    return int(settled.all(axis=1).sum()) - 1


def _bond_errors(positions: NDArray[np.floating], bonded: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Deviation [T + 2, n_bonds] Å of the bonds' lengths from those of the last state."""
    i, j = np.nonzero(np.triu(bonded))
    points = positions.astype(np.float64)
    lengths = np.linalg.norm(points[:, i] - points[:, j], axis=-1)
    errors: NDArray[np.float64] = np.abs(lengths - lengths[-1])
    return errors


def _over_bonds(
    errors: list[NDArray[np.float64]], n_states: int, what: Callable[..., NDArray[np.float64]]
) -> NDArray[np.float64]:
    together = np.concatenate(errors, axis=1)
    return what(together, axis=1) if together.shape[1] else np.full(n_states, np.nan)


def _null_elements(chains: Chains, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """When elements would be final if a network knew them from the beginning: by the schedule's noise alone.

    The features of known elements (one-hot over EDM's scale) are noised step by step, which is the reverse
    chain of a perfect network read backwards. Shares [T + 2] of atoms and of molecules.
    """
    rng = np.random.default_rng(seed)
    n_types = max(2, len(np.unique(chains.numbers[-1])))
    alpha = np.sqrt(np.clip(1 - chains.sigma**2, 0, None))
    kinds = rng.integers(n_types, size=int(chains.n_atoms.sum()))
    known = np.eye(n_types)[kinds] / ONE_HOT_SCALE
    features = alpha[0] * known + chains.sigma[0] * rng.normal(size=known.shape)
    right = [features.argmax(axis=1) == kinds]
    for t in range(1, len(alpha)):
        kept = alpha[t] / max(float(alpha[t - 1]), 1e-12)
        variance = max(float(chains.sigma[t] ** 2 - kept**2 * chains.sigma[t - 1] ** 2), 0.0)
        features = kept * features + np.sqrt(variance) * rng.normal(size=known.shape)
        right.append(features.argmax(axis=1) == kinds)
    settled = np.logical_and.accumulate(np.array(right), axis=0)[::-1]
    molecules = np.logical_and.reduceat(settled, np.cumsum(chains.n_atoms) - chains.n_atoms, axis=1)
    shares = {"atoms": settled.mean(axis=1), "molecules": molecules.mean(axis=1)}
    return {f"null_element_{whom}": np.append(values, 1.0) for whom, values in shares.items()}


def summarise_phases(found: Phases, timesteps: int) -> pd.DataFrame:
    """When half of the atoms and molecules are settled, with the paper's number beside ours.

    `ours_of_1000` are steps of a schedule of 1000, as the paper's is.
    """
    rows: list[tuple[str, float, float | None]] = [
        ("molecules", float(len(found.settled_step)), 100),
        ("chains that blew up", float(found.blown_up), None),
        ("steps of the schedule", float(timesteps), 1000),
    ]
    if not found.table.empty:
        rows = [*_numbers(found), *rows]
    summary = pd.DataFrame(rows, columns=["quantity", "ours", "paper"])
    of_steps = summary["quantity"].str.contains("steps left")
    summary.insert(2, "ours_of_1000", (summary["ours"] * 1000 / timesteps).where(of_steps))
    return summary


def _numbers(found: Phases) -> list[tuple[str, float, float | None]]:
    table = found.table
    rows: list[tuple[str, float, float | None]] = []
    for name, words in (("settled_element", "final element"), ("settled_valence", "final valence")):
        for whom in ("atoms", "molecules"):
            half = table.loc[table[f"{name}_{whom}"] >= 0.5, "steps_left"]
            paper = PAPER_FINAL_STEP if name == "settled_element" else None
            rows.append((f"steps left when half of the {whom} have their {words}", float(half.max()), paper))
    for whom in ("atoms", "molecules"):
        half = table.loc[table[f"null_element_{whom}"] >= 0.5, "steps_left"]
        words = f"steps left when the schedule alone makes half of the {whom}' elements final"
        rows.append((words, float(half.max()), None))
    median = float(np.median(found.settled_step))
    return [
        *rows,
        ("median over molecules: steps left at the last change of an element", median, PAPER_FINAL_STEP),
        ("step size there / Å", _at(table, "step_size_ang", median), None),
        ("bond-length error there / Å", _at(table, "bond_error_ang", median), None),
        ("share of finished atoms with an allowed valence", found.valid_atoms, None),
        ("share of finished molecules with allowed valences alone", found.valid_molecules, None),
    ]


def _at(table: pd.DataFrame, column: str, steps_left: float) -> float:
    nearest = int(np.abs(table["steps_left"].to_numpy() - steps_left).argmin())
    return float(table[column].to_numpy()[nearest])
