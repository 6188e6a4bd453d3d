"""Is the lowest conformer among those that are kept, and how many reach the target?

Conformers are embedded, minimised with MMFF94, relaxed at a cheap level and sorted out, as a campaign does by
`conformers: {count, keep}`. Here all of them are relaxed at the target as well, so that the lowest of all is
known. Keeps what is finished, and resumes.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ase import units

from prerelax.engines.written import written_level
from prerelax.records.record import Record
from prerelax.records.shard import read_shard
from prerelax.relaxation.settings import Relaxation, Resources
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.conformers.keeping import SAME, keep_shard, kept
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard

KCAL_MOL = units.kcal / units.mol
SAME_LOWEST_KCAL_MOL = 0.1
SETS = {
    "drugs": {
        "dopamine": "NCCc1ccc(O)c(O)c1",
        "ibuprofen": "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O",
        "mexiletine": "C[C@@H](N)COc1c(C)cccc1C",
        "valproic-acid": "CCCC(CCC)C(=O)O",
        "pregabalin": "CC(C)C[C@H](CN)CC(=O)O",
        "meprobamate": "CCCC(C)(COC(N)=O)COC(N)=O",
        "captopril": "C[C@H](CS)C(=O)N1CCC[C@H]1C(=O)O",
        "levodopa": "N[C@@H](Cc1ccc(O)c(O)c1)C(=O)O",
        "lidocaine": "CCN(CC)CC(=O)Nc1c(C)cccc1C",
        "propranolol": "CC(C)NC[C@H](O)COc1cccc2ccccc12",
    },
    "small": {"glycol": "OCCO", "methoxyethanol": "COCCO"},
}


def relaxed(folder: Path, target: str, cheap: str, count: int, workers: int) -> tuple[list[Record], ...]:
    """The rows at the cheap level's minima, and at the target's."""
    names = ("rdkit", "mmff94", "cheap", "kept", "target")
    rdkit, mmff94, cheap_out, kept_out, out = (folder / f"{name}.extxyz" for name in names)
    if not mmff94.is_file():
        embed_shard(folder / "molecules.csv", rdkit, None, count, 42)
        forcefield_shard(rdkit, mmff94, "mmff94", None, "mmff94")
    resources = Resources(workers=workers)
    at = Relaxation(**written_level(cheap).model_dump())
    relax_shard(mmff94, cheap_out, at, named=Named(start="cheap"), resources=resources)
    keep_shard(cheap_out, None, kept_out, at="cheap", window_kcal_mol=3.0, rmsd_ang=0.3)
    wanted = Relaxation(**written_level(target).model_dump())
    relax_shard(cheap_out, out, wanted, named=Named(target="target"), resources=resources)
    return read_shard(cheap_out), read_shard(out)


def _energy(row: Record) -> float:
    whole = row.converged and row.connectivity_unchanged is not False and row.energy_ev is not None
    return row.energy_ev if whole and row.energy_ev is not None else float("inf")


def table(cheap: Sequence[Record], ends: Sequence[Record], window: float, rmsd: float) -> list[str]:
    """A line for each molecule, and the sums."""
    lines, n_found, n_kept, n_rows, spent, of_all = [], 0, 0, 0, 0, 0
    names = list(dict.fromkeys(row.id for row in cheap))
    for name in names:
        starts = [row for row in cheap if row.id == name]
        by_number = {row.conformer: row for row in ends if row.id == name}
        rows = kept([replace(row) for row in starts], "cheap", window, rmsd)
        chosen = [by_number[row.conformer] for row in rows if row.proceeds]
        lowest_of_all = min(_energy(row) for row in by_number.values())
        lowest = min((_energy(row) for row in chosen), default=float("inf"))
        off = (lowest - lowest_of_all) / KCAL_MOL
        n_same = sum(row.status == "skipped" and row.message.startswith(SAME) for row in rows)
        gradients = sum(row.n_gradients or 0 for row in chosen)
        whole = sum(row.n_gradients or 0 for row in by_number.values())
        lines.append(
            f"{name:16s} {len(starts[0].numbers):4d} {len(rows):5d} {n_same:5d} {len(chosen):5d} {off:7.2f} "
            f"{gradients:6d} {whole:6d}"
        )
        n_found += off <= SAME_LOWEST_KCAL_MOL
        n_kept, n_rows = n_kept + len(chosen), n_rows + len(rows)
        spent, of_all = spent + gradients, of_all + whole
    lines.append(
        f"window {window:g} kcal/mol, {rmsd:g} Å: the lowest kept for {n_found} of {len(names)}; "
        f"{n_kept} of {n_rows} ({100 * n_kept / n_rows:.0f} %) go on; {spent} of {of_all} gradients"
    )
    return lines


def main() -> None:
    """Relax, and print the table for some windows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="keeps what is finished")
    parser.add_argument("--set", choices=SETS, default="drugs")
    parser.add_argument("--target", default="GFN2-xTB")
    parser.add_argument("--at", default="GFN1-xTB")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--molecules", type=int, help="only the first N")
    parser.add_argument("--workers", type=int, default=1)
    said = parser.parse_args()
    said.folder.mkdir(parents=True, exist_ok=True)
    rows = list(SETS[said.set].items())[: said.molecules]
    text = "".join(f"{name},{smiles}\n" for name, smiles in rows)
    (said.folder / "molecules.csv").write_text(f"id,smiles\n{text}")
    cheap, ends = relaxed(said.folder, said.target, said.at, said.count, said.workers)
    print(f"{said.target}, sorted out at {said.at}; off: kcal/mol of the lowest kept above the lowest of all")
    print("molecule        atoms  made  same  kept     off  grad.  of all")
    for window, rmsd in ((3.0, 0.3), (3.0, 0.125), (6.0, 0.3), (2.0, 0.3)):
        print("\n".join(table(cheap, ends, window, rmsd)))


if __name__ == "__main__":
    main()
