"""Molecules of QM9 that no shipped denoiser was trained on, as input of a campaign.

    .venv/bin/python benchmarks/heldout_molecules.py OUT.extxyz [--atoms 10] [--ids 36 42 46] [--reference]

Written are the MMFF94 minima that lie in the basin of QM9's own geometry (`qm9_small_test.npz` in
$PRERELAX_DATA, default ../shared/data), so that the starts made from them end where QM9 ended; with
--reference QM9's own geometries, the ceiling for any denoiser.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from ase import Atoms

from prerelax.records.shard import write_frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--atoms", type=int, help="only molecules with at most so many atoms")
    parser.add_argument("--ids", type=int, nargs="*", help="only these gdb9 numbers")
    parser.add_argument("--reference", action="store_true", help="QM9's own geometries")
    arguments = parser.parse_args()
    geometry = "positions" if arguments.reference else "positions_mmff94"
    folder = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
    with np.load(folder / "qm9_small_test.npz") as data:
        ends = np.cumsum(data["n_atoms"])
        frames = [
            Atoms(
                numbers=data["numbers"][end - n : end],
                positions=data[geometry][end - n : end],
                info={"id": f"gdb{identifier}"},
            )
            for identifier, n, end in zip(data["ids"], data["n_atoms"], ends, strict=True)
            if (arguments.ids is None or identifier in arguments.ids)
            and (arguments.atoms is None or n <= arguments.atoms)
        ]
    write_frames(arguments.out, frames)


if __name__ == "__main__":
    main()
