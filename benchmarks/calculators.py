"""Programs and potentials behind the engine ase: do they agree, what do they guide, what does the pipe cost?

    python benchmarks/calculators.py programs FOLDER --minutes 8
    python benchmarks/calculators.py guides FOLDER --minutes 8
    python benchmarks/calculators.py overhead FOLDER

programs: minima at B3LYP/6-31G* (VWN3, spherical d functions, no density fitting) in NWChem, PySCF and Psi4
by two-level and by geomeTRIC, from MMFF94. guides: gradients of two-level at B3LYP-D3BJ/def2-SVP by the
guide, and the guide's own. overhead: a gradient of the engine ase beside the same without a pipe. One JSON
line for each run in FOLDER; what is there is not run again. ANI-2xt needs the site file to name an
interpreter that has torchani and auto3d.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import Hartree
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from prerelax.engines import Level, make_calculator
from prerelax.molecules.superposition import rmsd
from prerelax.relaxation.cheap_surface import Guide
from prerelax.relaxation.molecule import relax_molecule
from prerelax.relaxation.settings import Relaxation

SMILES = ["CO", "CC#N", "NC=O", "CC=O", "CN", "CC(=O)O", "CCO", "CC(N)=O", "c1ccoc1", "NCC(=O)O"]
PROGRAMS = {
    "nwchem": {"engine": "ase", "calculator": "nwchem"},
    "pyscf": {"engine": "pyscf"},
    "psi4": {"engine": "psi4"},
}
B3LYP = {"method": "B3LYP", "basis": "6-31G*", "density_fitting": False}
TARGET = {"engine": "pyscf", "method": "B3LYP", "basis": "def2-SVP", "dispersion": "d3bj"}
GUIDES: dict[str, Guide] = {
    "GFN1-xTB": "gfn1",
    "GFN2-xTB": "gfn2",
    "MMFF94": "mmff94",
    "ANI-2xt": Level(engine="ase", calculator="ani", method="ANI-2xt"),
    "GFN-FF": Level(engine="ase", calculator="xtb", method="GFN-FF"),
    "PM7": Level(engine="ase", calculator="mopac", method="PM7"),
}
Line = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("question", choices=["programs", "guides", "overhead"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--molecules", type=int, default=len(SMILES))
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after so many")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.question == "overhead":
        overhead()
        return
    path = options.folder / f"{options.question}.jsonl"
    runs = programs if options.question == "programs" else guides
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(each["molecule"], each["what"]) for each in known}
    until = time.monotonic() + 60 * options.minutes
    for smiles in SMILES[: options.molecules]:
        for what, relaxation in runs():
            if (smiles, what) in done or time.monotonic() > until:
                continue
            known.append(line := {"molecule": smiles, "what": what, **relaxed(smiles, relaxation)})
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
    report(known)


def programs() -> Iterator[tuple[str, Relaxation]]:
    for name, said in PROGRAMS.items():
        for optimizer in ("two-level", "geometric"):
            yield (
                f"{name} {optimizer}",
                Relaxation(**said, **B3LYP, optimizer=optimizer, check_minimum="none"),
            )


def guides() -> Iterator[tuple[str, Relaxation]]:
    for name, guide in GUIDES.items():
        yield name, Relaxation(**TARGET, optimizer="two-level", cheap_level=guide, check_minimum="none")
    yield "geomeTRIC", Relaxation(**TARGET, optimizer="geometric", check_minimum="none")


def start(smiles: str) -> Atoms:
    """The MMFF94 minimum of one embedding."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(molecule, randomSeed=42)
    rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, maxIters=2000)
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    return Atoms(numbers, molecule.GetConformer().GetPositions())


def relaxed(smiles: str, relaxation: Relaxation) -> Line:
    atoms, before = start(smiles), seconds()
    result = relax_molecule(atoms.numbers, atoms.positions, 0, 1, relaxation)
    return {
        "status": result.status,
        "message": result.message,
        "n_atoms": len(atoms),
        "n_gradients": result.n_gradients,
        "n_gradients_cheap": result.n_gradients_cheap,
        "energy_ev": result.energy_ev,
        "start_energy_ev": result.start_energy_ev,
        "positions": None if result.positions is None else result.positions.tolist(),
        "seconds": seconds() - before,
    }


def seconds() -> float:
    """Processor seconds of this process and of its children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


def report(lines: list[Line]) -> None:
    names = list(dict.fromkeys(str(line["what"]) for line in lines))
    ran = {smiles: {each["what"] for each in lines if each["molecule"] == smiles} for smiles in SMILES}
    complete = [smiles for smiles in SMILES if ran[smiles] >= set(names)]
    at = {(line["molecule"], line["what"]): line for line in lines}
    print(f"n = {len(complete)}: {', '.join(complete)}")
    print("energy and RMSD: the largest difference from the first line's minima")
    print("| | gradients: median, most, sum | of the guide, sum | not ok | energy / Eh | RMSD / Å |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names:
        chosen = [at[smiles, name] for smiles in complete]
        first = [at[smiles, names[0]] for smiles in complete]
        counts = [int(str(line["n_gradients"])) for line in chosen]
        cheap = sum(int(str(line["n_gradients_cheap"])) for line in chosen)
        failed = sum(line["status"] != "ok" for line in chosen)
        pairs = [(a, b) for a, b in zip(chosen, first, strict=True) if a["positions"] and b["positions"]]
        energies = [abs(float(str(a["energy_ev"])) - float(str(b["energy_ev"]))) for a, b in pairs]
        moved = [rmsd(np.array(a["positions"]), np.array(b["positions"])) for a, b in pairs]
        energy, most = max(energies, default=0.0) / Hartree, max(moved, default=0.0)
        print(
            f"| {name} | {np.median(counts):g}, {max(counts)}, {sum(counts)} | {cheap} | {failed} "
            f"| {energy:.1e} | {most:.4f} |"
        )


def overhead() -> None:
    """Of one gradient of ethanol, in ms: wall clock of a pipe, and GFN2-xTB with and without one."""
    print("| gradient of ethanol | ms, the least of 5 times 20 |")
    print("| --- | --- |")
    for name, level in {
        "tblite": Level(engine="tblite", method="GFN2-xTB"),
        "ase, tblite.ase:TBLite": Level(
            engine="ase", calculator="tblite.ase:TBLite", method="GFN2-xTB",
            options={"method": "GFN2-xTB", "verbosity": 0, "accuracy": 1.0},
        ),
        "ase, EMT (no work)": Level(engine="ase", calculator="ase.calculators.emt:EMT", method="EMT"),
        "ase, xtb GFN-FF": Level(engine="ase", calculator="xtb", method="GFN-FF"),
        "ase, mopac PM7": Level(engine="ase", calculator="mopac", method="PM7"),
        "ase, ANI-2xt": Level(engine="ase", calculator="ani", method="ANI-2xt"),
    }.items():  # fmt: skip
        atoms = start("CCO")
        atoms.calc = make_calculator(level)
        print(f"| {name} | {1e3 * fastest(lambda atoms=atoms: atoms.get_forces(), atoms):.2f} |")


def fastest(call: Callable[[], object], atoms: Atoms) -> float:
    call()
    best = np.inf
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(20):
            atoms.rattle(1e-4, rng=np.random.default_rng(0))
            call()
        best = min(best, (time.perf_counter() - began) / 20)
    return float(best)


if __name__ == "__main__":
    main()
