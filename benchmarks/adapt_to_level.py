"""What `prerelax adapt` makes of a few minima of another level: errors of molecules that it never saw.

    .venv/bin/python benchmarks/adapt_to_level.py FOLDER [--bases NAME...] [--sets NAME...] [--sizes 50 200]

Sets, from $PRERELAX_DATA (default ../shared/data), each minimum with the MMFF94 minimum reached from it:

- qm7: random molecules of `qm7_pbe0_train.xyz` (PBE0/def2-TZVP) and 400 others to test on;
- qm7-no-sulfur: the same of those without sulfur;
- drugs: one conformer of random molecules of `druglike_b3lyp_d3bj.sdf.gz` (B3LYP-D3BJ), tested on one
  conformer of each molecule that is not among the 200.

The smaller set is the beginning of the larger one. Sets and models are kept in FOLDER; what is there is not
made again. Prints a Markdown table, processor seconds of each training beside the errors.
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from drug_sets import numbers_of
from rdkit import Chem, rdBase

from prerelax.datasets.graph_split import graph_key
from prerelax.datasets.structures import Structures, collect, read_npz, read_xyz, write_npz
from prerelax.denoisers.checkpoint import load_model
from prerelax.diffusion.evaluation import Evaluation, evaluate_model
from prerelax.molecules.graph import bonded_matrix
from prerelax.set_making.force_field_starts import add_mmff94_starts

DATA = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
LARGEST = 200
TESTED = {"qm7": 400, "qm7-no-sulfur": 400, "drugs": 10_000}
SULFUR = 16
SPARE = 1.15
"""More minima are given starts than are needed: some have none of their own bonds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bases", nargs="+", default=["relaxer-organic"])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[50, LARGEST])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    rdBase.DisableLog("rdApp.*")
    print(
        "| set | base | pairs | processor s | bonds / Å | 1-3 / Å | base: bonds, 1-3 | MMFF94: bonds, 1-3 |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.sets:
        make_sets(arguments.folder, name)
        for base in arguments.bases:
            for size in arguments.sizes:
                print(row(arguments.folder, name, base, size), flush=True)


def row(folder: Path, name: str, base: str, size: int) -> str:
    from prerelax.set_making.pairs import read_pairs
    from prerelax.training.adapting import adapt

    out, test = folder / f"{name}-{Path(base).name}-{size}", folder / f"{name}-test.npz"
    seconds = "–"
    if not (out / "config.yaml").exists():
        began = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        adapt(base, read_pairs([folder / f"{name}-{size}.npz"]), out)
        seconds = f"{resource.getrusage(resource.RUSAGE_SELF).ru_utime - began:.0f}"
    after, before = (evaluate_model(load_model(str(each)), test) for each in (out, base))
    cells = [name, base, size, seconds, figures(after, ""), both(before, ""), both(after, "_start")]
    return f"| {' | '.join(map(str, cells))} |"


def figures(found: Evaluation, which: str) -> str:
    return f"{found['bond_mae_ang' + which]:.4f} | {found['angle_mae_ang' + which]:.4f}"  # type: ignore[literal-required]


def both(found: Evaluation, which: str) -> str:
    return figures(found, which).replace(" |", ",")


def make_sets(folder: Path, name: str) -> None:
    """Write FOLDER/NAME-50.npz, NAME-200.npz and NAME-test.npz, unless they are there."""
    if (folder / f"{name}-test.npz").exists():
        return
    started = SETS[name]()
    for size in (50, LARGEST):
        write_npz(folder / f"{name}-{size}.npz", started.select(np.arange(size)))
    rest = started.select(np.arange(LARGEST, min(len(started), LARGEST + TESTED[name])))
    write_npz(folder / f"{name}-test.npz", rest)


def qm7(with_sulfur: bool = True) -> Structures:
    whole = read_xyz(DATA / "qm7_pbe0_train.xyz")
    order = np.random.default_rng(0).permutation(len(whole))
    if not with_sulfur:
        order = np.array([row for row in order if SULFUR not in whole.numbers[whole.atoms_of(int(row))]])
    return with_starts(whole.select(order[: int(SPARE * (LARGEST + TESTED["qm7"]))]))


def drugs() -> Structures:
    """One conformer of each molecule, molecules shuffled."""
    with gzip.open(DATA / "druglike_b3lyp_d3bj.sdf.gz") as file:
        read = [each for each in Chem.ForwardSDMolSupplier(file, removeHs=False) if each is not None]
    order = np.random.default_rng(0).permutation(len(read))
    first: dict[int, int] = {}
    for place in order:
        first.setdefault(graph_key(numbers_of(read[place]), bonded_matrix(read[place])), int(place))
    return with_starts(
        collect(
            (place, numbers_of(read[place]), read[place].GetConformer().GetPositions())
            for place in first.values()
        )
    )


def with_starts(minima: Structures) -> Structures:
    """The same with MMFF94 minima, in their order; those without are left out."""
    with tempfile.TemporaryDirectory() as folder:
        bare, started = Path(folder) / "bare.npz", Path(folder) / "started.npz"
        write_npz(bare, minima)
        add_mmff94_starts(bare, started)
        return read_npz(started)


SETS: dict[str, Callable[[], Structures]] = {
    "qm7": qm7,
    "qm7-no-sulfur": lambda: qm7(with_sulfur=False),
    "drugs": drugs,
}

if __name__ == "__main__":
    main()
