"""Gradients to a minimum for sets of molecules as they come, by optimizer, and how high the ends lie.

    python benchmarks/dft_steps/sets.py floppy --level gfn2 --fmax 0.001 --molecules 60
    python benchmarks/dft_steps/sets.py druglike --level gfn2 --molecules 100
    python benchmarks/dft_steps/sets.py far --level hf/3-21g --molecules 8
    python benchmarks/dft_steps/sets.py qm9 --level qm9 --molecules 20 [--model relaxer-qm9]
    python benchmarks/dft_steps/sets.py benchmark12 --level b3lyp-d3bj/def2-svp --heights --ends ENDS.extxyz
    python benchmarks/dft_steps/sets.py floppy8 --level b3lyp-d3bj/def2-svp --heights
    python benchmarks/dft_steps/sets.py large --level hf/3-21g --max-steps 0

floppy: fragments of at most 9 heavy atoms with at least 3 rotatable bonds, drawn by a seed. druglike: drawn
from GEOM-Drugs. linear: those with an alkyne, a nitrile or another atom whose two bonds are in line.
benchmark12: 18 to 28 atoms. floppy8: those of at most 8 heavy atoms in $PRERELAX_FLOPPY (id, smiles). large:
one of 60 and one of 87 atoms. qm9: MMFF94 minima in the basin of QM9's geometry. All of these from their
MMFF94 minimum, or on from there at GFN2-xTB (--from-gfn2) or denoised (--model). far: flexible and charged
molecules ($PRERELAX_FAR: id, smiles, charge), RDKit embeddings that no force field has relaxed. The smallest
come first.

All optimizers stop by the criteria `normal`, or by --fmax; two-level is guided by --guide. "near": gradients
until the energy is within 0.05 kcal/mol of the optimizer's own end. The height of an end is what geomeTRIC
still gains from it on its way to a tenth of the criteria, in at most HEIGHT_STEPS steps (--heights): what is
left then is the target's noise. --ends writes the lowest geometries that it saw. One JSON line for each
molecule and optimizer in results/dft-steps/sets.jsonl; what is there is not run again.
"""

import argparse
import csv
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.units import kcal, mol
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolDescriptors

from prerelax.datasets.structures import Structures, collect
from prerelax.relaxation.molecule import RelaxationResult, relax_molecule
from prerelax.relaxation.settings import TWO_LEVEL_VERSION, Relaxation

DATA = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
FAR = Path(os.environ.get("PRERELAX_FAR", DATA.parent / "cases" / "far_starts.csv"))
FLOPPY = Path(os.environ.get("PRERELAX_FLOPPY", DATA.parent / "cases" / "floppy.csv"))
OUT = Path("results/dft-steps/sets.jsonl")
LEVELS = {
    "gfn2": {"engine": "tblite", "method": "GFN2-xTB"},
    "qm9": {"engine": "pyscf", "method": "qm9"},
    "hf/3-21g": {"engine": "pyscf", "method": "HF", "basis": "3-21G"},
    "pbe/def2-svp": {"engine": "pyscf", "method": "PBE", "basis": "def2-SVP"},
    "b3lyp-d3bj/def2-svp": {"engine": "pyscf", "method": "B3LYP", "basis": "def2-SVP", "dispersion": "D3BJ"},
}
HEIGHT_STEPS = 10
NOISE_KCAL_MOL = 1e-3
"""Of the geometries so near the lowest one that has the smallest force is the tight end."""
Molecule = tuple[str, NDArray[np.int64], NDArray[np.float64], int]
"""Name, atomic numbers [n_atoms], positions [n_atoms, 3] Å, charge."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "set", choices=["floppy", "floppy8", "druglike", "linear", "far", "qm9", "benchmark12", "large"]
    )
    parser.add_argument("--level", choices=sorted(LEVELS), required=True)
    parser.add_argument("--molecules", type=int, default=1000)
    parser.add_argument("--optimizers", nargs="+", default=["two-level", "geometric"])
    parser.add_argument("--guide", default="gfn1")
    parser.add_argument("--from-gfn2", action="store_true", help="start from the GFN2-xTB minimum near by")
    parser.add_argument("--model", help="start from what this denoiser makes of the MMFF94 minimum")
    parser.add_argument("--fmax", type=float, help="eV/Å, instead of normal")
    parser.add_argument("--max-steps", type=int, default=99)
    parser.add_argument("--heights", action="store_true", help="relax the ends on by geomeTRIC")
    parser.add_argument("--ends", type=Path, help="extended XYZ of the ends' tight minima (two-level's)")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no relaxation after so many")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    if not options.table:
        run_missing(options)
    asked = {"set": name_of(options), "level": options.level, "stop": stop(options)}
    lines = [line for line in results() if asked.items() <= line.items()]
    report(lines)
    if options.ends:
        write_ends(options.ends, lines)


def stop(options: argparse.Namespace) -> str:
    return "normal" if options.fmax is None else f"{options.fmax:g} eV/Å"


def name_of(options: argparse.Namespace) -> str:
    start = "gfn2" if options.from_gfn2 else options.model
    return f"{options.set} from {start}" if start else options.set


def run_missing(options: argparse.Namespace) -> None:
    deadline = time.monotonic() + 60 * options.minutes
    for name, numbers, positions, charge in molecules(options.set, options.molecules):
        for optimizer in options.optimizers:
            named = f"{optimizer} ({options.guide})" if optimizer == "two-level" else optimizer
            key = {"set": name_of(options), "level": options.level, "stop": stop(options)}
            key |= {"molecule": name, "optimizer": named}
            known = [line for line in results() if key.items() <= line.items()]
            if time.monotonic() > deadline:
                return
            line = known[-1] if known else None
            if line is None:
                settings = Relaxation(
                    **LEVELS[options.level],
                    optimizer=optimizer,
                    cheap_level=options.guide,
                    fmax=options.fmax,
                    convergence=None if options.fmax else "normal",
                    max_steps=options.max_steps,
                )
                if options.from_gfn2:
                    positions = gfn2_minimum(numbers, positions, charge)
                elif options.model:
                    start = replace(collect([(0, numbers, positions)]), positions_start=positions)
                    positions, _ = denoised_starts(options.model, start)
                began = time.process_time()
                result = relax_molecule(numbers, positions, charge, 1, settings)
                seconds = time.process_time() - began
                line = {**key, **told(result), "processor_s": seconds, "version": TWO_LEVEL_VERSION}
                keep(line)
            if options.heights and line.get("height_kcal_mol") is None and line["positions"]:
                keep({**line, **height(line, numbers, charge, LEVELS[options.level])})


def gfn2_minimum(
    numbers: NDArray[np.int64], positions: NDArray[np.float64], charge: int
) -> NDArray[np.float64]:
    settings = Relaxation(**LEVELS["gfn2"], optimizer="geometric", convergence="normal")
    found = relax_molecule(numbers, positions, charge, 1, settings).positions
    return positions if found is None else found


def denoised_starts(name: str, structures: Structures) -> tuple[NDArray[np.floating], list[float]]:
    """What a model makes of all starts, [n_atoms_total, 3] Å, and what energy it expects left, kcal/mol.

    In a process of its own: torch stays apart from the engines.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(_denoised_starts, name, structures).result()


def _denoised_starts(name: str, structures: Structures) -> tuple[NDArray[np.floating], list[float]]:
    from prerelax.denoisers.checkpoint import load_model
    from prerelax.diffusion.energy_left import energies_left_kcal_mol
    from prerelax.diffusion.one_more_call import changes_by_one_more_call
    from prerelax.diffusion.options import SamplerOptions
    from prerelax.diffusion.samplers import sample
    from prerelax.diffusion.staged import inputs_of

    model, given = load_model(name), inputs_of(structures)
    results = sample(model, given, SamplerOptions())
    if any(result.status != "ok" for result in results):
        raise SystemExit(f"{name} cannot denoise all of the molecules")
    ends = [replace(each, positions=result.positions) for each, result in zip(given, results, strict=True)]
    expected = energies_left_kcal_mol(model, changes_by_one_more_call(model, ends))
    return np.concatenate([end.positions for end in ends]), expected.tolist()


def molecules(name: str, n: int) -> list[Molecule]:
    """The `n` smallest of a set."""
    if name == "qm9":
        return list(_of_qm9(n))
    if name == "floppy":
        return list(_floppy(n))
    if name == "far":
        rows = list(csv.DictReader(FAR.open()))
        found = [_embedded(row["id"], row["smiles"], relaxed=False) for row in rows]
    elif name == "floppy8":
        rows = [row for row in csv.DictReader(FLOPPY.open()) if _n_heavy(row["smiles"]) <= 8]
        found = [_embedded(row["id"], row["smiles"], relaxed=True) for row in rows]
    elif name == "benchmark12":
        lines = (DATA / "benchmark12.smi").read_text().split("\n")
        found = [_embedded(*reversed(line.split()), relaxed=True) for line in filter(None, lines)]
    else:
        smiles = (DATA / "smiles_geom_drugs_30k.smi").read_text().split()
        order = np.random.default_rng(1).permutation(len(smiles))
        chosen: Iterator[str] = (smiles[row] for row in order)
        if name == "large":
            chosen = _large(chosen)
        elif name == "linear":
            chosen = filter(_has_line, chosen)
        drawn = filter(None, (_embedded(text, text, relaxed=True) for text in chosen))
        found = list(islice(drawn, n))
    return sorted((m for m in found if m is not None), key=lambda m: len(m[1]))[:n]


def _n_heavy(smiles: str) -> int:
    return int(Chem.MolFromSmiles(smiles).GetNumHeavyAtoms())


def _has_line(smiles: str) -> bool:
    line = Chem.rdchem.HybridizationType.SP
    return any(
        atom.GetDegree() == 2 and atom.GetHybridization() == line
        for atom in Chem.MolFromSmiles(smiles).GetAtoms()
    )


def _large(drawn: Iterator[str]) -> Iterator[str]:
    """The first of 60 to 63 atoms and of 85 to 93."""
    wanted = [range(60, 64), range(85, 94)]
    for smiles in drawn:
        n = Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms()
        for sizes in [sizes for sizes in wanted if n in sizes]:
            wanted.remove(sizes)
            yield smiles
        if not wanted:
            return


def _embedded(name: str, smiles: str, relaxed: bool) -> Molecule | None:
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if rdDistGeom.EmbedMolecule(molecule, randomSeed=42) < 0:
        return None
    if relaxed and rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, maxIters=5000) != 0:
        return None
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    return name, numbers, molecule.GetConformer().GetPositions(), Chem.GetFormalCharge(molecule)


def _floppy(n: int) -> Iterator[Molecule]:
    """Not sorted: the first 30 are those of `--molecules 30`."""
    arrays = np.load(DATA / "organic_minima_gfn2.npz", allow_pickle=False)
    ends = np.cumsum(arrays["n_atoms"])
    chosen = []
    for row, (kind, text) in enumerate(zip(arrays["kind"], arrays["smiles"], strict=True)):
        smiles = text.decode() if isinstance(text, bytes) else str(text)
        molecule = Chem.MolFromSmiles(smiles)
        if kind != 0 or molecule is None or molecule.GetNumHeavyAtoms() > 9:
            continue
        loose = rdMolDescriptors.NumRotatableBondsOptions.NonStrict
        if rdMolDescriptors.CalcNumRotatableBonds(molecule, loose) >= 3:
            chosen.append((row, smiles))
    for row, smiles in (chosen[i] for i in np.random.default_rng(1).permutation(len(chosen))[:n]):
        atoms = slice(ends[row] - arrays["n_atoms"][row], ends[row])
        numbers = arrays["numbers"][atoms].astype(np.int64)
        yield smiles, numbers, arrays["positions_mmff94"][atoms].astype(float), 0


def _of_qm9(n: int) -> Iterator[Molecule]:
    data = np.load(DATA / "qm9_small_test.npz")
    ends = np.cumsum(data["n_atoms"])
    for row in np.lexsort((data["ids"], data["n_atoms"]))[:n]:
        atoms = slice(ends[row] - data["n_atoms"][row], ends[row])
        positions = data["positions_mmff94"][atoms].astype(float)
        yield f"gdb{data['ids'][row]}", data["numbers"][atoms].astype(int), positions, 0


def told(result: RelaxationResult) -> dict[str, object]:
    """What is kept of a relaxation; gradients too until the energy is within 0.05 kcal/mol of the end."""
    energies = np.array([evaluation.energy_ev for evaluation in result.path]) * mol / kcal
    near = int(np.argmax(energies < energies[-1] + 0.05)) + 1 if len(energies) else None
    return {
        "atoms": len(result.positions) if result.positions is not None else 0,
        "status": result.status,
        "message": result.message,
        "n_gradients": result.n_gradients,
        "n_gradients_near": near,
        "n_gradients_cheap": result.n_gradients_cheap,
        "energy_ev": result.energy_ev,
        "fmax_ev_ang": result.fmax_ev_ang,
        "forces": [round(evaluation.fmax_ev_ang, 5) for evaluation in result.path],
        "positions": None if result.positions is None else result.positions.tolist(),
    }


def height(
    line: dict[str, object], numbers: NDArray[np.int64], charge: int, level: dict[str, str]
) -> dict[str, object]:
    """kcal/mol that geomeTRIC still gains from an end, and the lowest geometry that it saw."""
    tight = Relaxation(
        **level, optimizer="geometric", convergence="tight", max_steps=HEIGHT_STEPS, check_minimum="none"
    )
    result = relax_molecule(numbers, np.array(line["positions"]), charge, 1, tight)
    if not result.path:
        return {"height_kcal_mol": None}
    lowest_ev = min(evaluation.energy_ev for evaluation in result.path)
    alike = [each for each in result.path if each.energy_ev - lowest_ev < NOISE_KCAL_MOL * kcal / mol]
    lowest = min(alike, key=lambda evaluation: evaluation.fmax_ev_ang)
    return {
        "height_kcal_mol": (line["energy_ev"] - lowest_ev) * mol / kcal,
        "height_status": result.status,
        "height_n_gradients": result.n_gradients,
        "tight_energy_ev": lowest.energy_ev,
        "tight_fmax_ev_ang": lowest.fmax_ev_ang,
        "tight_numbers": numbers.tolist(),
        "tight_positions": lowest.positions.round(6).tolist(),
    }


def write_ends(path: Path, lines: list[dict[str, object]]) -> None:
    """One frame for each molecule whose end was relaxed on."""
    frames = []
    for line in lines:
        if line.get("tight_positions") and str(line["optimizer"]).startswith("two-level"):
            frame = Atoms(numbers=line["tight_numbers"], positions=line["tight_positions"])
            told = ("molecule", "level", "tight_energy_ev", "tight_fmax_ev_ang")
            frame.info = {name: line[name] for name in told}
            frames.append(frame)
    ase.io.write(path, frames, format="extxyz", write_results=False)


def keep(line: dict[str, object]) -> None:
    with OUT.open("a") as file:
        file.write(json.dumps(line) + "\n")
    long = ("positions", "tight_positions", "tight_numbers")
    print({name: value for name, value in line.items() if name not in long}, flush=True)


def results() -> list[dict[str, object]]:
    """The last line of each molecule and optimizer."""
    lines = [json.loads(line) for line in OUT.read_text().splitlines()] if OUT.exists() else []
    names = ("set", "level", "stop", "molecule", "optimizer")
    return list({tuple(line[name] for name in names): line for line in lines}.values())


def report(lines: list[dict[str, object]]) -> None:
    """Markdown, one row for each optimizer."""
    heading = ["optimizer", "n", "sum", "median", "90th percentile", "most", "not converged", "near: sum"]
    heading += ["median", "90th percentile", "most", "cheap, median", "heights: n", "median", "95 %", "most"]
    print("| " + " | ".join(heading) + " |")
    print("| --- " * len(heading) + "|")
    for optimizer in dict.fromkeys(line["optimizer"] for line in lines):
        own = [line for line in lines if line["optimizer"] == optimizer]
        failed = sum(line["status"] != "ok" for line in own)
        cells = [f"`{optimizer}`", len(own), *_spread([line["n_gradients"] for line in own]), failed]
        cells += _spread([line["n_gradients_near"] for line in own if line["n_gradients_near"]])
        cells.append(f"{np.median([line['n_gradients_cheap'] for line in own]):.0f}")
        high = [line["height_kcal_mol"] for line in own if line.get("height_kcal_mol") is not None]
        cells.append(len(high))
        cells += [f"{np.percentile(high, share):.3f}" for share in (50, 95, 100)] if high else ["–"] * 3
        print("| " + " | ".join(map(str, cells)) + " |")


def _spread(counts: list[int]) -> list[str]:
    """Sum, median, 90th percentile and most."""
    if not counts:
        return ["–"] * 4
    percentile = f"{np.percentile(counts, 90):.0f}"
    return [str(sum(counts)), f"{np.median(counts):g}", percentile, str(max(counts))]


if __name__ == "__main__":
    main()
