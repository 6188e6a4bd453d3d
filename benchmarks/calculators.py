"""Programs and potentials behind the engine ase: do they agree, what do they guide, what does the pipe cost?

    python benchmarks/calculators.py programs FOLDER --minutes 8 [--model relaxer-qm9]
    python benchmarks/calculators.py guides FOLDER --target gfn2 --minutes 8
    python benchmarks/calculators.py starts FOLDER --target gfn2 --minutes 8
    python benchmarks/calculators.py first FOLDER --target b3lyp --minutes 8
    python benchmarks/calculators.py near FOLDER --ends ENDS.extxyz
    python benchmarks/calculators.py overhead FOLDER

programs: minima at B3LYP/6-31G* (VWN3, spherical d functions, no density fitting) in NWChem, PySCF and Psi4
by two-level and by geomeTRIC, from MMFF94; five molecules by hand, five drawn from fragments of drug-like
ones; with --model by two-level from their denoised starts too. guides: gradients of two-level on
benchmark12.smi from MMFF94 by the guide, and what the guide costs. starts: gradients of two-level with its
default guide by the start. first: forces and energy of the starts alone, one gradient each. near: the same
starts against the minima that `dft_steps/sets.py benchmark12 --ends` writes. overhead: a gradient behind
the pipe beside the same without one, in turns.

Starts are shards in FOLDER: `mmff94.extxyz` is written by the first call, the others, NAME.extxyz, by
`prerelax relax` or `prerelax diffuse` from it. One JSON line for each run in FOLDER; what is there is not run
again. ANI-2xt needs the site file to name an interpreter that has torchani and auto3d.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.io import read
from ase.units import Hartree, kcal, mol
from dft_steps.sets import DATA, LEVELS, denoised_starts, molecules
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from prerelax.datasets.structures import collect
from prerelax.engines import Level, make_calculator
from prerelax.molecules.graph import bonded_matrix, mol_from_mapped_smiles
from prerelax.molecules.superposition import rmsd
from prerelax.molecules.topology import topological_distances
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.cheap_surface import Guide
from prerelax.relaxation.molecule import relax_molecule
from prerelax.relaxation.settings import Relaxation

BY_HAND = ["CO", "CC#N", "NC=O", "CC=O", "CN"]
SEED = 1
DRAWN = {"n": 5, "atoms": range(8, 13), "heavy": 6, "elements": {1, 6, 7, 8, 9, 15, 16, 17}}
PROGRAMS = {
    "NWChem": {"engine": "ase", "calculator": "nwchem"},
    "PySCF": {"engine": "pyscf"},
    "Psi4": {"engine": "psi4"},
}
B3LYP = {"method": "B3LYP", "basis": "6-31G*", "density_fitting": False}
TARGETS = {"b3lyp": LEVELS["b3lyp-d3bj/def2-svp"], "gfn2": LEVELS["gfn2"]}
GUIDES: dict[str, Guide] = {
    "GFN1-xTB": "gfn1",
    "GFN2-xTB": "gfn2",
    "ANI-2xt": Level(engine="ase", calculator="ani", method="ANI-2xt"),
    "GFN-FF": Level(engine="ase", calculator="xtb", method="GFN-FF"),
    "MMFF94": "mmff94",
}
Line = dict[str, object]


@dataclass(frozen=True)
class Run:
    """One relaxation: where it begins and how."""

    molecule: str
    what: str
    atoms: Atoms
    relaxation: Relaxation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("question", choices=["programs", "guides", "starts", "first", "near", "overhead"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", choices=list(TARGETS), default="gfn2")
    parser.add_argument("--ends", type=Path)
    parser.add_argument("--molecules", type=int, default=12)
    parser.add_argument("--only", nargs="+", help="these guides, starts or programs")
    parser.add_argument("--model", help="programs: a denoiser whose starts are relaxed too")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after so many")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.question == "overhead":
        overhead(options.only)
        return
    if options.question == "near":
        near(starts(options.folder), options.ends)
        return
    name = options.question if options.question == "programs" else f"{options.question}-{options.target}"
    path = options.folder / f"{name}.jsonl"
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(each["molecule"], each["what"]) for each in known}
    until = time.monotonic() + 60 * options.minutes
    for run in runs(options):
        wanted = options.only is None or any(word in run.what for word in options.only)
        if wanted and (run.molecule, run.what) not in done and time.monotonic() < until:
            known.append(line := {"molecule": run.molecule, "what": run.what, **relaxed(run)})
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
    report(known)


def runs(options: argparse.Namespace) -> Iterator[Run]:
    if options.question == "programs":
        for smiles in [*BY_HAND, *drawn()][: options.molecules]:
            first = start(smiles)
            begun = {"two-level": first, "geometric": first}
            if options.model:
                begun[f"two-level, {options.model}"] = denoised(options.model, first)
            for name, said in PROGRAMS.items():
                for what, atoms in begun.items():
                    optimizer = what.split(",")[0]
                    settings = Relaxation(**said, **B3LYP, optimizer=optimizer, check_minimum="none")
                    yield Run(smiles, f"{name}, {what}", atoms, settings)
        return
    shards = starts(options.folder)
    two_level = {**TARGETS[options.target], "optimizer": "two-level", "convergence": "normal"}
    two_level |= {"check_minimum": "none", "max_steps": 0 if options.question == "first" else 99}
    for row, record in enumerate(shards["mmff94"][: options.molecules]):
        if options.question == "guides":
            for name, guide in GUIDES.items():
                if guide != options.target:
                    settings = Relaxation(**two_level, cheap_level=guide)
                    yield Run(record.id, name, record.as_atoms(), settings)
            continue
        for name, records in shards.items():
            if records[row].proceeds and name != options.target:
                yield Run(record.id, name, records[row].as_atoms(), Relaxation(**two_level))


def drawn() -> list[str]:
    """Neutral fragments of GEOM-Drugs molecules, the smallest first."""
    arrays = np.load(DATA / "organic_minima_gfn2.npz", allow_pickle=False)
    fitting = []
    for kind, text in zip(arrays["kind"], arrays["smiles"], strict=True):
        molecule = Chem.MolFromSmiles(text.decode()) if kind == 0 else None
        if molecule is not None and molecule.GetNumHeavyAtoms() <= DRAWN["heavy"]:
            whole = Chem.AddHs(molecule)
            elements = {atom.GetAtomicNum() for atom in whole.GetAtoms()}
            if whole.GetNumAtoms() in DRAWN["atoms"] and elements <= DRAWN["elements"]:
                fitting.append(text.decode())
    order = np.random.default_rng(SEED).permutation(len(fitting))
    chosen = [fitting[i] for i in order[: DRAWN["n"]]]
    print(f"drawn by seed {SEED} from {len(fitting)} fragments: {', '.join(chosen)}")
    return sorted(chosen, key=lambda smiles: len(start(smiles)))


def start(smiles: str) -> Atoms:
    """The MMFF94 minimum of one embedding."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(molecule, randomSeed=42)
    rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, maxIters=2000)
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    return Atoms(numbers, molecule.GetConformer().GetPositions())


def denoised(model: str, atoms: Atoms) -> Atoms:
    """What a denoiser makes of a force field's minimum."""
    structures = collect([(0, atoms.numbers, atoms.positions)])
    positions, _ = denoised_starts(model, replace(structures, positions_start=structures.positions))
    return Atoms(atoms.numbers, positions)


def starts(folder: Path) -> dict[str, list[Record]]:
    """Rows of benchmark12.smi by the start, the smallest first."""
    first = folder / "mmff94.extxyz"
    if not first.exists():
        smiles = {words[1]: words[0] for words in map(str.split, (DATA / "benchmark12.smi").open())}
        write_shard(
            first,
            [
                Record(
                    name,
                    numbers,
                    positions,
                    smiles=mapped(smiles[name]),
                    input_smiles=smiles[name],
                    charge=charge,
                    start="mmff94",
                )
                for name, numbers, positions, charge in molecules("benchmark12", 12)
            ],
        )
    others = sorted(path for path in folder.glob("*.extxyz") if path != first)
    return {path.stem: read_shard(path) for path in [first, *others]}


def near(shards: dict[str, list[Record]], ends: Path) -> None:
    """Mean absolute errors of bonds and 1-3 distances, and RMSD, in Å."""
    minima = {str(frame.info["molecule"]): frame.positions for frame in read(ends, ":")}
    print("| start | n | bonds / Å | 1-3 distances / Å | RMSD / Å |")
    print("| --- | --- | --- | --- | --- |")
    for name, records in shards.items():
        errors = []
        for record in (row for row in records if row.proceeds and row.id in minima):
            topological = topological_distances(bonded_matrix(mol_from_mapped_smiles(record.smiles)))
            end = minima[record.id]
            off = np.abs(distances(record.positions) - distances(end))
            bonds, angles = (off[topological == apart].mean() for apart in (1, 2))
            errors.append((bonds, angles, rmsd(record.positions, end)))
        bond, angle, moved = np.mean(errors, axis=0)
        print(f"| {name} | {len(errors)} | {bond:.4f} | {angle:.4f} | {moved:.2f} |")


def distances(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(positions[:, None] - positions[None, :], axis=-1))


def mapped(smiles: str) -> str:
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    for atom in molecule.GetAtoms():
        atom.SetAtomMapNum(atom.GetIdx() + 1)
    return Chem.MolToSmiles(molecule)


def relaxed(run: Run) -> Line:
    before = seconds()
    result = relax_molecule(run.atoms.numbers, run.atoms.positions, 0, 1, run.relaxation)
    return {
        "status": result.status,
        "message": result.message,
        "n_atoms": len(run.atoms),
        "n_gradients": result.n_gradients,
        "n_gradients_cheap": result.n_gradients_cheap,
        "energy_ev": result.energy_ev,
        "start_energy_ev": result.start_energy_ev,
        "start_fmax_ev_ang": result.path[0].fmax_ev_ang if result.path else None,
        "positions": None if result.positions is None else result.positions.tolist(),
        "seconds": seconds() - before,
    }


def seconds() -> float:
    """Processor seconds of this process and of all that it started, those still alive among them."""
    this = psutil.Process()
    own = this.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in this.children(recursive=True):
        with child.oneshot():
            times = child.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def nanoseconds(servers: list[int]) -> int:
    """On a processor, by this process and by servers of these numbers, which are asleep now."""
    threads = [path for each in servers for path in Path(f"/proc/{each}/task").glob("*/schedstat")]
    return time.process_time_ns() + sum(int(path.read_text().split()[0]) for path in threads)


def report(lines: list[Line]) -> None:
    names = list(dict.fromkeys(str(line["what"]) for line in lines))
    ran = {str(line["molecule"]): set[str]() for line in lines}
    for line in lines:
        ran[str(line["molecule"])].add(str(line["what"]))
    complete = [molecule for molecule in ran if ran[molecule] >= set(names)]
    at = {(line["molecule"], line["what"]): line for line in lines}
    print(f"n = {len(complete)}: {', '.join(complete)}")
    print("energy and RMSD: the largest difference from the minima of the first row; above: kcal/mol of the")
    print("start above the lowest end, and its largest force in eV/Å, medians")
    heading = ["", "gradients: median, most, sum", "of the guide, median", "processor s, median", "not ok"]
    heading += ["energy / Eh", "RMSD / Å", "start: above, force"]
    print(f"| {' | '.join(heading)} |")
    print("| --- " * len(heading) + "|")
    lowest = {m: min(float(str(at[m, name]["energy_ev"])) for name in names) for m in complete}
    for name in names:
        chosen = [at[molecule, name] for molecule in complete]
        first = [at[molecule, names[0]] for molecule in complete]
        counts = [int(str(line["n_gradients"])) for line in chosen]
        cheap = np.median([int(str(line["n_gradients_cheap"])) for line in chosen])
        spent = np.median([float(str(line["seconds"])) for line in chosen])
        failed = sum(line["status"] != "ok" for line in chosen)
        pairs = [(a, b) for a, b in zip(chosen, first, strict=True) if a["positions"] and b["positions"]]
        energies = [abs(float(str(a["energy_ev"])) - float(str(b["energy_ev"]))) for a, b in pairs]
        moved = [rmsd(np.array(a["positions"]), np.array(b["positions"])) for a, b in pairs]
        began = [line for line in chosen if line["start_energy_ev"] is not None]
        above = [float(str(a["start_energy_ev"])) - lowest[str(a["molecule"])] for a in began]
        force = [float(str(line.get("start_fmax_ev_ang") or np.nan)) for line in began]
        print(
            f"| {name} | {np.median(counts):g}, {max(counts)}, {sum(counts)} | {cheap:g} | {spent:.1f} "
            f"| {failed} | {max(energies, default=0.0) / Hartree:.1e} | {max(moved, default=0.0):.4f} "
            f"| {np.median(above) * mol / kcal:.2f}, {np.median(force):.2f} |"
        )


def overhead(only: list[str] | None) -> None:
    """Of one gradient, in ms, with and without a pipe in turns: the least wall clock and processor time.

    A gradient by PySCF takes 1.5 to 2.2 s from one time to the next, so that medians compare that. What a
    program took that was started for the gradient alone is not in the processor time.
    """
    gfn2 = {"method": "GFN2-xTB", "verbosity": 0, "accuracy": 1.0}
    xtb = Level(engine="tblite", method="GFN2-xTB")
    dft = Level(engine="pyscf", **B3LYP)
    os.environ["PRERELAX_ALLOW_CALCULATORS"] = "calculators,tblite.ase,ase.calculators.emt"
    compared = {
        "GFN2-xTB": (
            xtb, Level(engine="ase", calculator="tblite.ase:TBLite", method="GFN2-xTB", options=gfn2), 100
        ),
        "B3LYP/6-31G*, PySCF": (dft, Level(engine="ase", calculator="calculators:pyscf", method="B3LYP"), 7),
    }  # fmt: skip
    print(
        "| gradient of ethanol | wall: direct, piped | difference | processor: direct, piped | difference |"
    )
    print("| --- | --- | --- | --- | --- |")
    for name, (direct, piped, times) in compared.items():
        if only and name not in only:
            continue
        spent = {level: np.array(pairs) for level, pairs in in_turns([direct, piped], times).items()}
        cells = []
        for column in (0, 1):
            a, b = (np.min(spent[i][:, column]) for i in (0, 1))
            cells += [f"{a:.2f}, {b:.2f}", f"{b - a:+.2f} ({b / a - 1:+.1%})"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for name, level in {
        "EMT (no work)": Level(engine="ase", calculator="ase.calculators.emt:EMT", method="EMT"),
        "GFN-FF, xtb": Level(engine="ase", calculator="xtb", method="GFN-FF"),
        "PM7, mopac": Level(engine="ase", calculator="mopac", method="PM7"),
        "ANI-2xt": Level(engine="ase", calculator="ani", method="ANI-2xt"),
    }.items():
        if not only or name in only:
            wall, processor = np.min(in_turns([level], 20)[0], axis=0)
            print(f"| {name} | –, {wall:.2f} | | –, {processor:.2f} | |", flush=True)


def pyscf() -> Calculator:
    """The engine pyscf as a calculator of somebody else's."""
    return make_calculator(Level(engine="pyscf", **B3LYP))


def in_turns(levels: list[Level], times: int) -> dict[int, list[tuple[float, float]]]:
    """ms of wall clock and of processor time of each level's gradient, each geometry at every level."""
    spent: dict[int, list[tuple[float, float]]] = {i: [] for i in range(len(levels))}
    atoms = start("CCO")
    calculators = [make_calculator(level) for level in levels]
    servers: list[int] = []
    for turn in range(times + 1):
        if turn == 1:
            servers = [child.pid for child in psutil.Process().children()]
        atoms.rattle(1e-3, seed=turn)
        for i, calculator in enumerate(calculators):
            wall, processor = time.perf_counter(), nanoseconds(servers)
            calculator.calculate(atoms)
            if turn:
                both = time.perf_counter() - wall, 1e-9 * (nanoseconds(servers) - processor)
                spent[i].append((1e3 * both[0], 1e3 * both[1]))
    for calculator in calculators:
        calculator.close()
    return spent


if __name__ == "__main__":
    main()
