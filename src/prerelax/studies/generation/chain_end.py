"""The end of a generating chain, against the straight line to its last geometry (paper E, figure 3)."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from numpy.typing import NDArray

from prerelax.comparison.pairs import KCAL_MOL
from prerelax.comparison.statistics import mean_interval
from prerelax.molecules.bond_orders import allowed, bond_orders, valences
from prerelax.molecules.graph import STRETCHED_BOND
from prerelax.molecules.topology import bonds_from_geometry
from prerelax.records.record import Record
from prerelax.records.shard import write_frames
from prerelax.relaxation.single_points import Frame, read_frames
from prerelax.studies.evaluated_paths import path_objection
from prerelax.studies.generation.chains import Chains
from prerelax.studies.generation.phases import from_here_on, has_blown_up

CHAIN, LINE = "chain", "straight line"
COLUMNS = ["path", "id", "allowed_valences", "calls_left", "above_kcal_mol"]
NOT_ALLOWED = "its valences are not allowed ones"
SHORTEST_PATH = 5
"""Geometries with final elements that make a path."""


def chain_ends(chains: Chains, n_steps: int, n_molecules: int) -> list[Frame]:
    """The last `n_steps` states and the end of `n_molecules` chains, those with allowed valences first.

    For each two paths: the CHAIN from where the molecule's elements are final (at most `n_steps` + 1
    geometries before its end), and the straight LINE in space between the same ends, in as many parts. A
    chain counts where it ends in one piece and its elements were final before the last states; whether its
    valences are allowed stands in the message. `call` counts from 0.
    """
    candidates = [
        (place, positions, numbers)
        for place, (positions, numbers) in enumerate(chains)
        if not has_blown_up(positions) and is_one_piece(positions[-1], numbers[-1])
    ]
    candidates.sort(key=lambda chain: not has_allowed_valences(chain[1][-1], chain[2][-1]))
    ends: list[list[Frame]] = []
    for place, positions, numbers in candidates:
        settled = int(from_here_on((numbers == numbers[-1]).all(axis=1)).argmax())
        path = positions[max(settled, len(positions) - 2 - n_steps) :].astype(np.float64)
        if len(path) >= SHORTEST_PATH and len(ends) < n_molecules:
            ends.append(_ends(f"generated-{place}", path, numbers[-1].astype(np.int64)))
    return [frame for paths in ends for frame in paths]


def _ends(name: str, path: NDArray[np.float64], numbers: NDArray[np.int64]) -> list[Frame]:
    """Both paths of one molecule whose chain ends with `path` [n_states, n_atoms, 3] Å."""
    part = np.linspace(0, 1, len(path))[:, None, None]
    record = Record(
        name,
        numbers,
        multiplicity=1 + int(numbers.sum()) % 2,
        message="" if has_allowed_valences(path[-1], numbers) else NOT_ALLOWED,
    )
    frames = []
    for kind, geometries in ((CHAIN, path), (LINE, (1 - part) * path[0] + part * path[-1])):
        of_path = replace(record, id=f"{name}/{kind}", start=kind)
        frames += [Frame(replace(of_path, positions=x), call) for call, x in enumerate(geometries)]
    return frames


def is_one_piece(positions: NDArray[np.floating], numbers: NDArray[np.integer]) -> bool:
    """Whether all atoms of a geometry [n, 3] Å hang together by bonds, if stretched ones."""
    bonded = bonds_from_geometry(numbers, positions, STRETCHED_BOND).astype(float)
    reached = np.linalg.matrix_power(bonded + np.eye(len(bonded)), len(bonded)) > 0
    return bool(reached.all())


def has_allowed_valences(positions: NDArray[np.floating], numbers: NDArray[np.integer]) -> bool:
    """Whether every atom of a geometry [n, 3] Å has an allowed valence."""
    return bool(allowed(numbers, valences(bond_orders(numbers, positions))).all())


def write_chain_ends(path: Path, frames: list[Frame]) -> None:
    """Write what `prerelax energies` reads."""
    write_frames(path, list(_as_atoms(frames)))


def _as_atoms(frames: list[Frame]) -> Iterator[Atoms]:
    for frame in frames:
        atoms = frame.record.as_atoms()
        atoms.info["call"] = frame.call
        yield atoms


def read_chain_energies(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Energies of evaluated chain ends above the finished molecule, COLUMNS, and what is left out by reason.

    A molecule counts where both its paths have all their energies. Raises ShardError for another file.
    """
    of_molecule: dict[str, dict[str, list[Frame]]] = {}
    for name, grouped in groupby(read_frames(path), key=lambda frame: frame.record.id):
        molecule, _, kind = name.rpartition("/")
        of_molecule.setdefault(molecule, {})[kind] = list(grouped)
    rows: list[tuple[str, str, bool, int, float]] = []
    left_out: dict[str, int] = {}
    for molecule, paths in of_molecule.items():
        objection = next(filter(None, map(path_objection, paths.values())), "")
        if objection or set(paths) != {CHAIN, LINE}:
            left_out[objection or "cut short"] = left_out.get(objection or "cut short", 0) + 1
            continue
        final = paths[CHAIN][-1].energy_ev
        numbers, positions = paths[CHAIN][-1].record.numbers, paths[CHAIN][-1].record.positions
        valid = has_allowed_valences(positions, numbers)
        assert final is not None
        for kind, frames in paths.items():
            for frame in frames:
                assert frame.energy_ev is not None
                above = (frame.energy_ev - final) / KCAL_MOL
                rows.append((kind, molecule, valid, frames[-1].call - frame.call, above))
    return pd.DataFrame(rows, columns=COLUMNS), left_out


def summarise_chain_ends(table: pd.DataFrame) -> pd.DataFrame:
    """How consistently the energies fall: share of steps downward, and of geometries below the line."""
    if table.empty:
        return pd.DataFrame(columns=["quantity", "ours", "ci_low", "ci_high", "paper"])
    rows = []
    wide = table.pivot(index=["id", "calls_left"], columns="path", values="above_kcal_mol").reset_index()
    chains = [rows_ for _, rows_ in wide.sort_values("calls_left", ascending=False).groupby("id")]
    for name in (CHAIN, LINE):
        falls = np.array([(np.diff(chain[name]) < 0).mean() for chain in chains])
        paper = "consistently falling" if name == CHAIN else ""
        rows.append((f"share of steps downward in energy, {name}", falls, paper))
    smoothed = np.array([(np.diff(_smooth(chain[CHAIN].to_numpy())) < 0).mean() for chain in chains])
    rows.append((f"the same, {CHAIN} averaged over 5 steps", smoothed, "consistently falling"))
    # The two have their first geometry in common, and their last.
    between = [chain.iloc[1:-1] for chain in chains if len(chain) > 2]
    below = np.array([(path[CHAIN] < path[LINE]).mean() for path in between])
    rows.append(("share of geometries at which the chain is lower than the line", below, ""))
    starts = np.array([float(chain[CHAIN].iloc[0]) for chain in chains])
    rows.append(("energy of the chain's first geometry / kcal/mol", starts, ""))
    valid = table.groupby("id")["allowed_valences"].first().to_numpy(dtype=float)
    rows.append(("share of molecules with allowed valences", valid, ""))
    return pd.DataFrame(
        [(words, values.mean(), *mean_interval(values), paper) for words, values, paper in rows],
        columns=["quantity", "ours", "ci_low", "ci_high", "paper"],
    )


def _smooth(values: NDArray[np.float64], width: int = 5) -> NDArray[np.float64]:
    """Running mean over `width` values, or over all where there are fewer than twice as many."""
    width = min(width, max(1, len(values) // 2))
    return np.convolve(values, np.full(width, 1 / width), mode="valid")
