"""The lowest GFN2-xTB energy that conformer searches find in equal time of one core.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/conformer_search.py FOLDER --set druglike --seconds 12

Searches: `sample` is `prerelax sample`; `etkdg` embeds by RDKit's ETKDGv3 and minimises by MMFF94 for a
quarter of the time, then minimises the lowest distinct ones by GFN2-xTB, and does both again where time is
left; `no-denoiser` is `sample` with the geometries left at MMFF94's minimum. All begin at one embedded
geometry, whose stereochemistry they keep, and end at minima converged to 0.03 eV/Å. Time is that of the
processor, child processes included, so that other work on the machine costs neither side; processes are
started before. Sets: `flexible`, the saturated chains of `qm9_val.npz` by paper E's filter; `druglike`,
molecules drawn from `smiles_geom_drugs_30k.smi` with at least four rotatable bonds; both neutral, of elements
that the model knows ($PRERELAX_DATA, default ../shared/data).

FOLDER/SET.jsonl keeps every search; called again, only what is missing runs.
"""

import argparse
import json
import math
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers, rdMolDescriptors

from prerelax.comparison.pairs import KCAL_MOL
from prerelax.denoisers.checkpoint import LoadedModel, load_model
from prerelax.molecules.graph import conformer_at, mapped_smiles, mol_from_mapped_smiles
from prerelax.molecules.molecule import Molecule, read_molecules
from prerelax.records.record import Record
from prerelax.starts.conformers import moves
from prerelax.starts.conformers.distinct import SAME_ROUGH_RMSD_ANG, Skeleton, distinct
from prerelax.starts.conformers.sample_shard import Xtb, sampled
from prerelax.starts.embed import embedded
from prerelax.starts.forcefield import minimised
from prerelax.starts.options import SearchPlan
from prerelax.studies.boltzmann.flexible import is_flexible

SEARCHES = ("sample", "etkdg", "no-denoiser")
EMBEDDING_SHARE = 0.25
TIE_KCAL_MOL = 0.1
UNLIMITED = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", choices=("flexible", "druglike"), required=True)
    parser.add_argument("--molecules", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--model", default="relaxer-qm9-small")
    parser.add_argument("--searches", nargs="*", default=SEARCHES, choices=SEARCHES)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.folder / f"{arguments.set}.jsonl"
    done = {(line["id"], line["search"]): line for line in _lines(path)}
    with Xtb() as xtb:
        for record in starts(arguments.set, arguments.molecules, model.elements):
            for search in arguments.searches:
                if (record.id, search) in done:
                    continue
                line = run(search, record, model, arguments.seconds, arguments.seed, xtb)
                done[record.id, search] = line
                with path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    print(f"{arguments.set}, {arguments.seconds:g} s of one core for each molecule, {arguments.model}")
    for search in arguments.searches[1:]:
        print(comparison(list(done.values()), arguments.searches[0], search))


def _lines(path: Path) -> Iterator[dict]:
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())


def starts(name: str, molecules: int, elements: tuple[int, ...]) -> Iterator[Record]:
    """One MMFF94 minimum of each molecule."""
    folder = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
    chosen = flexible(folder) if name == "flexible" else druglike(folder)
    found = 0
    for molecule in chosen:
        if found == molecules:
            return
        if not set(molecule.numbers.tolist()) <= set(elements):
            continue
        record = minimised(next(embedded(molecule)), "mmff94", 200, "mmff94")
        if record.proceeds:
            found += 1
            yield record


def flexible(folder: Path) -> Iterator[Molecule]:
    for molecule in read_molecules(folder / "qm9_val.npz"):
        if molecule.mol is not None and is_flexible(molecule.smiles):
            yield Molecule(molecule.id, molecule.smiles, molecule.mol)


def druglike(folder: Path) -> Iterator[Molecule]:
    lines = (folder / "smiles_geom_drugs_30k.smi").read_text().split("\n")
    for line in random.Random(0).sample(lines, len(lines)):
        mol = Chem.MolFromSmiles(line.split()[0]) if line.strip() else None
        if mol is None or len(Chem.GetMolFrags(mol)) > 1 or rdMolDescriptors.CalcNumRotatableBonds(mol) < 4:
            continue
        if any(atom.GetFormalCharge() for atom in mol.GetAtoms()):
            continue
        with_hydrogens = Chem.AddHs(mol)
        yield Molecule(line.split()[0], mapped_smiles(with_hydrogens), with_hydrogens)


def run(search: str, record: Record, model: LoadedModel, seconds: float, seed: int, xtb: Xtb) -> dict:
    """One search's line: lowest energy (None: none), conformers, and how it got there."""
    xtb.minimised(record, [record.positions])
    xtb.energies(record, [record.positions])
    if search == "etkdg":
        found = etkdg(record, seconds, seed, xtb)
    else:
        plan = SearchPlan(cycles=UNLIMITED, minimised=UNLIMITED, seconds=seconds, seed=seed)
        denoiser = model if search == "sample" else None
        outcome = sampled(record, denoiser, plan, xtb, clock=cpu_clock())
        found = {
            "energies_ev": [conformer.energy_ev for conformer in outcome.conformers],
            "status": outcome.status,
            "counts": outcome.counts,
            "accepted": outcome.accepted,
            "exchanged": outcome.exchanged,
            "cpu_s": outcome.wall_s,
        }
    return {"id": record.id, "n_atoms": len(record.numbers), "search": search, "seconds": seconds, **found}


def cpu_clock() -> Callable[[], float]:
    """Seconds of processor that this process and its present children have had."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return lambda: sum(sum(process.cpu_times()[:2]) for process in processes)


def etkdg(record: Record, seconds: float, seed: int, xtb: Xtb) -> dict:
    """ETKDGv3 and MMFF94, then GFN2-xTB from the lowest distinct ones; more of both where time is left."""
    clock, rng = cpu_clock(), np.random.default_rng(seed)
    began = clock()
    molecule = moves.conformation(mol_from_mapped_smiles(record.smiles), record.positions)
    skeleton = Skeleton.of(molecule.mol)
    geometries, energies, found = [], [], []
    tried: list[np.ndarray] = []
    until = 0.0
    while clock() - began < seconds:
        until += EMBEDDING_SHARE * (seconds - until)
        while clock() - began < until or not geometries:
            positions = moves.embedded(molecule, rng) if geometries else record.positions
            if positions is not None:
                geometry, energy = mmff94_minimum(molecule.mol, positions)
                geometries.append(geometry)
                energies.append(energy)
        for index in distinct(skeleton, geometries, energies, None, math.inf, SAME_ROUGH_RMSD_ANG):
            known = (
                skeleton.rmsd_ang(geometries[index], geometry) < SAME_ROUGH_RMSD_ANG for geometry in tried
            )
            if (found and clock() - began > seconds) or any(known):
                continue
            tried.append(geometries[index])
            (result,) = xtb.minimised(record, [geometries[index]])
            whole = result.positions is not None and molecule.is_whole(result.positions)
            if result.status in ("ok", "not_converged") and whole and molecule.has_stereo(result.positions):
                found.append(result.energy_ev)
        until = max(until, clock() - began)
    counts = {"embedded": len(geometries), "minimised": len(tried)}
    return {"energies_ev": sorted(found), "status": "ok", "counts": counts, "cpu_s": clock() - began}


def mmff94_minimum(mol: Chem.Mol, positions: np.ndarray) -> tuple[np.ndarray, float]:
    trial = Chem.Mol(mol)
    trial.AddConformer(conformer_at(positions), assignId=True)
    ((_, energy),) = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(trial, maxIters=2000)
    return trial.GetConformer().GetPositions(), energy


def comparison(lines: list[dict], ours: str, other: str) -> str:
    """Wins, ties and losses of `ours`, and by how much."""
    lowest = {(line["id"], line["search"]): min(line["energies_ev"], default=math.inf) for line in lines}
    names = [name for name, search in lowest if search == ours and (name, other) in lowest]
    deltas = np.array([(lowest[name, ours] - lowest[name, other]) / KCAL_MOL for name in names])
    wins, losses = (deltas < -TIE_KCAL_MOL).sum(), (deltas > TIE_KCAL_MOL).sum()
    counts = (
        f"{wins} wins, {len(deltas) - wins - losses} ties (within {TIE_KCAL_MOL} kcal/mol), {losses} losses"
    )
    spread = ", ".join(f"{q:.2f}" for q in np.quantile(deltas, [0, 0.25, 0.5, 0.75, 1]))
    return (
        f"{ours} against {other}: {counts} of {len(names)}; difference of the lowest energies: mean "
        f"{deltas.mean():.2f}, quantiles (least to most) {spread} kcal/mol"
    )


if __name__ == "__main__":
    main()
