"""Gradients to a minimum for every start and optimizer, from two campaigns.

    .venv/bin/python benchmarks/dft_steps/campaigns.py gfn2 [--molecules 200]
    .venv/bin/python benchmarks/dft_steps/campaigns.py qm9 [--molecules 24] [--full]

gfn2: QM9 validation molecules embedded from SMILES, target GFN2-xTB, GFN1-xTB as the cheap level, all
optimizers. qm9: the smallest molecules of `qm9_small_test.npz` at B3LYP/6-31G(2df,p) as QM9 defines it, from
MMFF94 minima in the basin of QM9's geometry, with that geometry as the ceiling, and every end point relaxed
on to 0.003 eV/Å; --full: 50 of the validation molecules, for a cluster. $PRERELAX_DATA is where the
molecules are (default ../shared/data). Everything lies in results/ and is resumed; --table prints what there
is. The tables also go to results/dft-steps/<part>.{csv,md}, the figure to <part>.{pdf,png}.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from ase.units import kcal, mol
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rdkit import Chem

from prerelax.comparison.comparison import read_comparison
from prerelax.comparison.figures.style import DOUBLE_COLUMN_MM, INK, in_house_style, new_figure, start_colours
from prerelax.datasets.structures import read_npz
from prerelax.molecules.perception import perceived_molecule
from prerelax.records.shard import read_shard, write_frames

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
OUT = Path("results/dft-steps")
DATA = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
BASELINE = ("mmff94", "bfgs")
TIGHT_FMAX_EV_ANG = 0.003
SAME_MINIMUM_KCAL_MOL = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["gfn2", "qm9"])
    parser.add_argument("--molecules", type=int, help="how many (gfn2: 200, qm9: 24, qm9 --full: 50)")
    parser.add_argument(
        "--full", action="store_true", help="qm9: validation molecules of up to 9 heavy atoms"
    )
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    if not arguments.table:
        if arguments.part == "gfn2":
            write_smiles(arguments.molecules or 200)
            run_campaign("gfn2", arguments.cores)
        else:
            write_structures(arguments.molecules or (50 if arguments.full else 24), arguments.full)
            run_campaign("qm9", arguments.cores)
            run_campaign("qm9-reference", arguments.cores)
            relax_on("qm9", arguments.cores)
    report(arguments.part)


def write_smiles(n: int) -> None:
    """`n` molecules spread evenly over the validation set, as SMILES with the stereochemistry of QM9."""
    structures = read_npz(DATA / "qm9_val.npz")
    lines = ["id,smiles"]
    for row in np.linspace(0, len(structures) - 1, n).astype(int):
        atoms = structures.atoms_of(int(row))
        numbers, positions = structures.numbers[atoms], structures.positions[atoms]
        molecule = perceived_molecule(numbers.astype(int), positions.astype(float), 0, 1)
        lines.append(f"gdb{structures.ids[row]},{Chem.MolToSmiles(Chem.RemoveHs(molecule))}")
    (OUT / "gfn2-molecules.csv").write_text("\n".join(lines) + "\n")


def write_structures(n: int, full: bool) -> None:
    """MMFF94 minima in QM9's basin and QM9's own geometries: the smallest, or evenly from the validation."""
    with np.load(DATA / ("qm9_val.npz" if full else "qm9_small_test.npz")) as data:
        ends, sizes = np.cumsum(data["n_atoms"]), data["n_atoms"]
        rows = np.lexsort((data["ids"], sizes))
        rows = rows[np.linspace(0, len(rows) - 1, n).astype(int)] if full else rows[:n]
        for geometry, name in (("positions_mmff94", "qm9"), ("positions", "qm9-reference")):
            frames = [
                Atoms(
                    numbers=data["numbers"][ends[row] - sizes[row] : ends[row]],
                    positions=data[geometry][ends[row] - sizes[row] : ends[row]],
                    info={"id": f"gdb{data['ids'][row]}"},
                )
                for row in rows
            ]
            write_frames(OUT / f"{name}.extxyz", frames)


def run_campaign(part: str, cores: int) -> None:
    """The campaign of a part, as a user runs it; what is finished is not run again."""
    snakemake = [
        str(PROGRAMS / "snakemake"),
        "--cores",
        str(cores),
        "--configfile",
        str(HERE / f"{part}.yaml"),
    ]
    subprocess.run([*snakemake, "--keep-going", "--rerun-incomplete", "--quiet", "all"], check=True)


def relax_on(part: str, cores: int) -> None:
    """Relax every end point of a campaign on to a tight fmax, for energies below 0.2 kcal/mol."""
    relaxed = Path(f"results/dft-steps-{part}/relaxed")
    for shard in sorted(relaxed.glob("*/*/*.extxyz")):
        out = Path(f"results/dft-steps-{part}/tight") / shard.relative_to(relaxed)
        if out.exists() and out.stat().st_mtime > shard.stat().st_mtime:
            continue
        out.parent.mkdir(parents=True, exist_ok=True)
        level = ["--engine", "pyscf", "--method", "qm9", "--optimizer", "two-level"]
        options = [*level, "--fmax", str(TIGHT_FMAX_EV_ANG), "--workers", str(cores)]
        subprocess.run([str(PROGRAMS / "prerelax"), "relax", str(shard), str(out), *options], check=True)


def report(part: str) -> None:
    """Print and write the tables and the figure of what there is."""
    rows = relaxations(part)
    summary = summarised(rows)
    molecules = rows.pivot(index="id", columns=["start", "optimizer"], values="n_gradients")
    rows.to_csv(OUT / f"{part}.csv", index=False, float_format="%.6g")
    text = "\n".join([markdown(summary), "", f"Gradients of each of the {len(molecules)} molecules:", ""])
    if len(molecules) <= 60:
        text += "\n" + markdown(molecules.set_axis([" + ".join(c) for c in molecules.columns], axis=1))
    others = elsewhere(rows)
    text += f"\n\nEnds more than {SAME_MINIMUM_KCAL_MOL} kcal/mol above or below the baseline's:\n\n"
    text += markdown(others) if len(others) else "none"
    (OUT / f"{part}.md").write_text(text + "\n")
    print(text)
    figure = drawn(rows)
    for suffix in ("pdf", "png"):
        figure.savefig(OUT / f"{part}.{suffix}", dpi=220)


def relaxations(part: str) -> pd.DataFrame:
    """One row per molecule, start and optimizer, with the baseline's counts and energies beside its own."""
    table = read_comparison(Path(f"results/dft-steps-{part}/comparison.csv"))
    reference = Path(f"results/dft-steps-{part}-reference/comparison.csv")
    if reference.exists():
        ceiling = read_comparison(reference)
        table = pd.concat([table, ceiling.assign(start="data-set")], ignore_index=True)
    table = table.rename(columns={"target": "optimizer"})
    table = table.astype({"start": str, "optimizer": str, "status": str})
    table["energy_kcal_mol"] = table["energy_ev"] / (kcal / mol)
    tight = tight_energies(part)
    if tight:
        keys = zip(table["id"], table["start"], table["optimizer"], strict=True)
        table["energy_kcal_mol"] = [tight.get(key, np.nan) for key in keys]
    at_baseline = (table["start"] == BASELINE[0]) & (table["optimizer"] == BASELINE[1])
    baseline = table[at_baseline & (table["status"] == "ok")].set_index("id")
    for name in ("n_gradients", "wall_s_total", "energy_kcal_mol"):
        table[f"{name}_baseline"] = table["id"].map(baseline[name])
    found = table[table["status"] == "ok"].groupby("id")["energy_kcal_mol"].min()
    table["start_above_kcal_mol"] = table["start_energy_ev"] / (kcal / mol) - table["id"].map(found)
    table["above_best_kcal_mol"] = table["energy_kcal_mol"] - table["id"].map(found)
    table["above_baseline_kcal_mol"] = table["energy_kcal_mol"] - table["energy_kcal_mol_baseline"]
    return table


def tight_energies(part: str) -> dict[tuple[str, str, str], float]:
    """Energies in kcal/mol of the end points relaxed on, by id, start and optimizer."""
    energies = {}
    for shard in Path(f"results/dft-steps-{part}/tight").glob("*/*/*.extxyz"):
        optimizer, start = shard.parts[-3:-1]
        for record in read_shard(shard):
            if record.status == "ok" and record.energy_ev is not None:
                energies[record.id, start, optimizer] = record.energy_ev / (kcal / mol)
    return energies


def summarised(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per start and optimizer: medians, and how many of the pairs with the baseline failed."""
    lines = []
    for (start, optimizer), own in by_median(rows):
        pairs = own[(own["status"] == "ok") & own["n_gradients_baseline"].notna()]
        ratio = pairs["n_gradients_baseline"] / pairs["n_gradients"]
        same = pairs["above_baseline_kcal_mol"].abs() <= SAME_MINIMUM_KCAL_MOL
        first, third = pairs["n_gradients"].quantile([0.25, 0.75])
        low, middle, high = pairs["start_above_kcal_mol"].quantile([0.25, 0.5, 0.75])
        lines.append(
            {
                "start": start,
                "optimizer": optimizer,
                "pairs": f"{len(pairs)}/{len(own)}",
                "gradients": f"{pairs['n_gradients'].median():g} ({first:g}-{third:g})",
                "at most": f"{pairs['n_gradients'].max():g}",
                "steps": f"{pairs['n_steps'].median():g}",
                "no step": f"{(pairs['n_steps'] == 0).sum()}",
                "start above minimum / kcal/mol": f"{middle:.2f} ({low:.2f}-{high:.2f}), "
                f"mean {pairs['start_above_kcal_mol'].mean():.2f}",
                "cheap gradients": f"{pairs['n_gradients_cheap'].median():.0f}",
                "fewer, times": f"{ratio.median():.1f}",
                "same basin": f"{ratio[same].median():.1f}",
                "seconds": f"{pairs['wall_s_total'].median():.2f}",
                "faster, times": f"{(pairs['wall_s_total_baseline'] / pairs['wall_s_total']).median():.1f}",
                "above best / kcal/mol": f"{pairs['above_best_kcal_mol'].mean():.2f}",
                "higher/deeper": f"{(pairs['above_baseline_kcal_mol'] > SAME_MINIMUM_KCAL_MOL).sum()}"
                f"/{(pairs['above_baseline_kcal_mol'] < -SAME_MINIMUM_KCAL_MOL).sum()}",
            }
        )
    return pd.DataFrame(lines).set_index("start")


def by_median(rows: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Rows of each start and optimizer, most gradients first."""
    groups = list(rows.groupby(["start", "optimizer"], sort=False))
    return sorted(groups, key=lambda group: -group[1]["n_gradients"].median())


def elsewhere(rows: pd.DataFrame) -> pd.DataFrame:
    """The relaxations that ended in another minimum than the baseline's."""
    far = rows[rows["above_baseline_kcal_mol"].abs() > SAME_MINIMUM_KCAL_MOL]
    columns = ["start", "optimizer", "n_gradients", "above_baseline_kcal_mol"]
    return far.set_index("id")[columns].round(2)


def markdown(table: pd.DataFrame) -> str:
    """The table, its index first, as Markdown."""
    names = [str(table.index.name or ""), *map(str, table.columns)]
    lines = [names, ["---"] * len(names)]
    lines += [
        [str(index), *(_cell(value) for value in row)]
        for index, row in zip(table.index, table.values, strict=True)
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@in_house_style
def drawn(rows: pd.DataFrame) -> Figure:
    """Gradients of every molecule, a line of dots for each start and optimizer, and their medians."""
    groups = by_median(rows[rows["status"] == "ok"])
    colours = start_colours(rows["start"].unique().tolist(), BASELINE[0])
    figure = new_figure(DOUBLE_COLUMN_MM, 14 + 4.2 * len(groups))
    axes = figure.add_subplot()
    beside = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    random = np.random.default_rng(0)
    for place, ((start, _), own) in enumerate(groups):
        counts = own["n_gradients"].to_numpy()
        jitter: NDArray[np.float64] = random.uniform(-0.28, 0.28, len(counts))
        axes.plot(counts, place + jitter, ".", color=colours[start], markersize=3, zorder=1)
        median = float(np.median(counts))
        axes.plot([median, median], [place - 0.4, place + 0.4], color=INK, linewidth=1.6, zorder=2)
        axes.annotate(f"{median:g}", (1, place), xytext=(4, 0), **beside)
    axes.annotate("median", (1, -0.9), xytext=(4, 0), **beside)
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 3, 5, 10, 20, 50, 100], ["1", "2", "3", "5", "10", "20", "50", "100"])
    axes.set_yticks(range(len(groups)), [f"{start} + {optimizer}" for (start, optimizer), _ in groups])
    axes.invert_yaxis()
    axes.set_xlabel("gradients at the target until the largest force is below 0.03 eV/Å")
    axes.grid(axis="x")
    return figure


if __name__ == "__main__":
    main()
