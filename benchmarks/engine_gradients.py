"""What one gradient costs in each engine at one level, along the same few geometries.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive .venv/bin/python benchmarks/engine_gradients.py \\
        [--engines psi4 pyscf] [--molecule CH3OH] [--method B3LYP] [--basis def2-SVP] [--exact]

Each engine begins once and evaluates the molecule (a name of ASE's) and then three geometries displaced by
0.02 Å, with its own guess from the geometry before, as in a relaxation. Seconds are processor time, so that a
busy machine changes little. Psi4's processor time is known when its process ends: only the sum is printed.
"""

import argparse
import resource
import time

from ase import Atoms
from ase.build import molecule
from ase.units import Hartree

from prerelax.engines import Level, make_calculator, validate_level


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", nargs="+", default=["psi4", "pyscf"])
    parser.add_argument("--molecule", default="CH3OH")
    parser.add_argument("--method", default="B3LYP")
    parser.add_argument("--basis", default="def2-SVP")
    parser.add_argument("--exact", action="store_true", help="no density fitting")
    arguments = parser.parse_args()
    print("engine      geometry  processor s    wall s  energy Eh")
    for engine in arguments.engines:
        measure(
            Level(
                engine=engine,
                method=arguments.method,
                basis=arguments.basis,
                density_fitting=not arguments.exact,
            ),
            arguments,
        )


def measure(level: Level, arguments: argparse.Namespace) -> None:
    """Print a line for each geometry; a program's seconds are counted when it ends, so they come as a sum."""
    validate_level(level)
    make_calculator(level)  # asks the program for its version once, which is no part of a gradient
    calculator = make_calculator(level)
    total = begin = processor_s()
    for number, atoms in enumerate(geometries(arguments.molecule)):
        started = time.perf_counter()
        calculator.calculate(atoms)
        wall = time.perf_counter() - started
        energy = calculator.results["energy"] / Hartree
        seconds = f"{processor_s() - begin:11.2f}" if level.engine != "psi4" else " " * 11
        print(f"{level.engine:10} {number:9d} {seconds} {wall:9.2f}  {energy:.8f}")
        begin = processor_s()
    calculator.close()
    print(f"{level.engine:10}  together {processor_s() - total:11.2f}")


def geometries(name: str) -> list[Atoms]:
    """The named molecule and three displaced ones."""
    made = [molecule(name)]
    for seed in range(3):
        made.append(made[0].copy())
        made[-1].rattle(0.02, seed=seed)
    return made


def processor_s() -> float:
    """Of this process and of those it started and that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usages = [resource.getrusage(kind) for kind in kinds]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
