"""Baker's 30 molecules at HF/6-31G**: gradients until pyberny's convergence test is met, by optimizer.

    .venv/bin/python benchmarks/dft_steps/baker.py [--optimizers pyberny two-level] [--atoms 12] [--table]

The set and its starting geometries: J. Baker, J. Comput. Chem. 14, 1085 (1993), as in $PRERELAX_DATA/baker30,
whose reference.json holds pyberny's published counts (sum 208). The test, for all: in the redundant internal
coordinates of pyberny, root mean square and largest element of the gradient (1.5e-4 and 4.5e-4 a.u.) and of
the step that the optimizer would take next (1.2e-3 and 1.8e-3 a.u.). What is counted are energy and gradient
evaluations, the first included. One JSON line per optimizer and molecule in results/dft-steps/baker.jsonl;
what is there is not run again. Beside it stands how many gradients it took until no atom's force was above
4.5e-4 a.u., whatever the step, or until the test was met. The table goes to results/dft-steps/baker.md, the
figure to baker.{pdf,png}.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms, io
from ase.units import Bohr, Hartree
from berny import Berny
from berny.coords import InternalCoords
from berny.geomlib import Geometry
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from prerelax.comparison.figures.style import DOUBLE_COLUMN_MM, in_house_style, new_figure
from prerelax.engines import Level, make_calculator
from prerelax.relaxation.cheap_surface import CheapSurface
from prerelax.relaxation.molecule import Relaxation
from prerelax.relaxation.optimizers import WITH_CHEAP_LEVEL, GradientCounter, make_optimizer

LEVEL = Level(engine="pyscf", method="hf", basis="6-31G**")
GRADIENT_RMS, GRADIENT_MAX, STEP_RMS, STEP_MAX = 1.5e-4, 4.5e-4, 1.2e-3, 1.8e-3
"""a.u.; pyberny's defaults"""
MAX_GRADIENTS = 60
OUT = Path("results/dft-steps")
BAKER = Path(os.environ.get("PRERELAX_DATA", "../shared/data")) / "baker30"
COLOURS = ("#767676", "#0B4F8A", "#E69F00", "#009E73", "#D55E00")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--optimizers", nargs="+", default=["pyberny", "bfgs-hessian", "two-level"])
    parser.add_argument("--atoms", type=int, default=99, help="only molecules with at most so many")
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    reference = json.loads((BAKER / "reference.json").read_text())
    if not arguments.table:
        for name in sorted(reference, key=lambda name: reference[name]["atoms"]):
            if reference[name]["atoms"] <= arguments.atoms:
                run_missing(name, arguments.optimizers)
    report(reference)


def run_missing(molecule: str, optimizers: list[str]) -> None:
    done = {(line["molecule"], line["optimizer"]) for line in results()}
    for optimizer in optimizers:
        if (molecule, optimizer) not in done:
            line = {"molecule": molecule, "optimizer": optimizer, **relaxed(molecule, optimizer)}
            with (OUT / "baker.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(line, flush=True)


def results() -> list[dict[str, Any]]:
    path = OUT / "baker.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def relaxed(molecule: str, optimizer: str) -> dict[str, Any]:
    """Gradients, energy and seconds of one relaxation; `converged` by the test above."""
    atoms = io.read(BAKER / f"{molecule}.xyz")
    counter = GradientCounter(make_calculator(LEVEL))
    atoms.calc = counter
    began = time.perf_counter()
    cpu = time.process_time()
    converged = (with_pyberny if optimizer == "pyberny" else with_our)(atoms, optimizer, counter)
    forces = [evaluation.fmax_ev_ang * (Bohr / Hartree) for evaluation in counter.evaluations]
    return {
        "converged": converged,
        "n_gradients": counter.n_gradients,
        "n_gradients_force": next(
            (n for n, force in enumerate(forces, 1) if force < GRADIENT_MAX), counter.n_gradients
        ),
        "energy_eh": counter.evaluations[-1].energy_ev / Hartree,
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - cpu,
    }


def with_pyberny(atoms: Atoms, _: str, counter: GradientCounter) -> bool:
    """pyberny as its authors run it, with its own test."""
    optimizer = Berny(Geometry(atoms.get_chemical_symbols(), atoms.positions), maxsteps=MAX_GRADIENTS)
    for geometry in optimizer:
        atoms.positions = geometry.coords
        gradient = -atoms.get_forces() * (Bohr / Hartree)
        optimizer.send((atoms.get_potential_energy() / Hartree, gradient))
    return bool(optimizer.converged)


def with_our(atoms: Atoms, name: str, counter: GradientCounter) -> bool:
    """An optimizer of the package, judged after every gradient by the step it takes next."""
    choice = Relaxation(**LEVEL.model_dump(), optimizer=name)
    surface = factors = None
    if name in WITH_CHEAP_LEVEL:
        surface, factors = (
            CheapSurface(choice.chosen_cheap_level, atoms.numbers, 0, 1),
            choice.force_constant_factors(),
        )
    optimizer = make_optimizer(name, atoms, surface, factors, learned=choice.learned_difference())
    while counter.n_gradients < MAX_GRADIENTS:
        before, forces = atoms.positions.copy(), atoms.get_forces()
        optimizer.step()
        if is_converged(atoms.get_chemical_symbols(), before, atoms.positions, forces):
            return True
    return False


def is_converged(
    symbols: list[str],
    positions: NDArray[np.float64],
    following: NDArray[np.float64],
    forces: NDArray[np.float64],
) -> bool:
    """pyberny's test at `positions` with these forces, where the next geometry would be `following`."""
    geometry = Geometry(symbols, positions)
    coordinates = InternalCoords(geometry)
    wilson = coordinates.B_matrix(geometry)
    inverse = wilson.T @ np.linalg.pinv(wilson @ wilson.T, rcond=1e-8)
    gradient = inverse.T @ (-forces * (Bohr / Hartree)).ravel()
    step = coordinates.eval_geom(Geometry(symbols, following), coordinates.eval_geom(geometry))
    step = step - coordinates.eval_geom(geometry)
    return bool(
        rms(gradient) < GRADIENT_RMS
        and abs(gradient).max() < GRADIENT_MAX
        and rms(step) < STEP_RMS
        and abs(step).max() < STEP_MAX
    )


def rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))


def report(reference: dict[str, Any]) -> None:
    """Print and write the table of counts and the figure."""
    lines = pd.DataFrame(results())
    if lines.empty:
        return
    lines["shown"] = [
        f"{n:g}" if converged else f">{n:g}"
        for n, converged in zip(lines.n_gradients, lines.converged, strict=True)
    ]
    counts = lines.pivot(index="molecule", columns="optimizer", values="n_gradients")
    energies = lines.pivot(index="molecule", columns="optimizer", values="energy_eh")
    text = "\n".join(table_lines(reference, lines, counts, energies))
    (OUT / "baker.md").write_text(text + "\n")
    print(text)
    figure = drawn(counts, reference)
    for suffix in ("pdf", "png"):
        figure.savefig(OUT / f"baker.{suffix}", dpi=220)


def table_lines(
    reference: dict[str, Any], lines: pd.DataFrame, counts: pd.DataFrame, energies: pd.DataFrame
) -> Iterator[str]:
    """Markdown: one row per molecule, the sums over those that every optimizer treated, and the minima."""
    names = list(counts.columns)
    yield "| molecule | atoms | pyberny, published | " + " | ".join(names) + " | lowest by / kcal/mol |"
    yield "| --- " * (4 + len(names)) + "|"
    shown = lines.pivot(index="molecule", columns="optimizer", values="shown").fillna("")
    for molecule in sorted(counts.index, key=lambda name: (reference[name]["atoms"], name)):
        published = reference[molecule]["pyberny_steps"]
        spread = (energies.loc[molecule].max() - energies.loc[molecule].min()) * 627.509
        cells = " | ".join(shown.loc[molecule, names])
        yield f"| {molecule} | {reference[molecule]['atoms']} | {published} | {cells} | {spread:.2f} |"
    for name in names:
        treated = counts[name].dropna().index
        published = sum(reference[molecule]["pyberny_steps"] for molecule in treated)
        cells = " | ".join(f"{counts[name].sum():.0f}" if other == name else "" for other in names)
        yield f"| sum of {len(treated)} | | {published} | {cells} | |"
    for name in names:
        by_force = lines[lines.optimizer == name].n_gradients_force
        cells = " | ".join(f"{by_force.sum():.0f}" if other == name else "" for other in names)
        yield f"| by the force alone, {by_force.count()} | | | {cells} | |"


@in_house_style
def drawn(counts: pd.DataFrame, reference: dict[str, Any]) -> Figure:
    """A line of marks per molecule, one mark per optimizer."""
    order = sorted(counts.index, key=lambda name: (reference[name]["atoms"], name))
    figure = new_figure(DOUBLE_COLUMN_MM, 20 + 3.6 * len(order))
    axes = figure.add_subplot()
    published = counts.index.map(lambda name: reference[name]["pyberny_steps"])
    counts = pd.concat([pd.Series(published, counts.index, name="pyberny, published"), counts], axis=1)
    offsets = np.linspace(-0.2, 0.2, len(counts.columns))
    for name, colour, offset in zip(counts.columns, COLOURS, offsets, strict=False):
        label = f"{name} (sum of {counts[name].count()}: {counts[name].sum():.0f})"
        axes.plot(
            counts.loc[order, name], np.arange(len(order)) + offset, "o", color=colour, ms=3, label=label
        )
    axes.set_yticks(range(len(order)), order)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("gradients until pyberny's convergence test is met, HF/6-31G**")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x")
    axes.legend()
    return figure


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
