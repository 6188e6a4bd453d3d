"""Holds an ASE calculator in a process of its own: one line of JSON in, one line of JSON out.

It imports numpy, ASE and what the calculator needs, nothing of prerelax, so that any interpreter runs it that
has the calculator's package. The first line in is the setup, answered by `{"ready": true}` or a failure:

- `factory`: `module:attribute`, or a .py file in place of the module; it is called with `keywords`
- `electrons`: how charge and multiplicity reach the calculator (see prerelax.engines.level)
- `renewed`: whether each molecule gets a calculator of its own, as those that keep files need
- `boxed`: whether it needs a cell around the molecule
- `path`: where modules are looked for last; `config`: the text of ASE's configuration

Then every line is a request, `{"kind": "gradient" | "hessian", "numbers", "positions" (Å), "charge",
"multiplicity", "folder", "molecule"}`, answered by `{"energy" (eV), "forces" (eV/Å)}`, by `{"hessian"}`
(eV/Å², null where the calculator has none), or by `{"failure": class, "message": text, "output": text}`. The
calculation runs in the request's folder. The end of standard input ends the process and all that it started.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import queue
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from ase import Atoms

    Line = dict[str, Any]
    """an object of JSON"""

TAIL_BYTES = 3000
"""of the program's output, for the log"""
OUTPUTS = (".out", ".log", ".nwo")
VACUUM_ANG = 4.0
"""between a molecule and the sides of its box"""


def serve() -> None:
    out = private_output()

    def answer(line: Line) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    lines = lines_in()
    setup = next(lines)
    sys.path += [each for each in setup["path"] if each not in sys.path]
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as config:  # ASE reads it when it is imported
        config.write(setup["config"])
        config.flush()
        os.environ["ASE_CONFIG_PATH"] = config.name
        try:
            held = Held(setup)
        except BaseException as error:
            answer(failure(error))  # no folder of its own yet: nothing there is its output
            return
    answer({"ready": True})
    for line in lines:
        folder = Path(line["folder"])
        try:
            os.chdir(folder)
            if line["kind"] == "hessian":
                answer({"hessian": held.hessian(line)})
            else:
                answer(held.gradient(line))
        except BaseException as error:  # SystemExit of a careless calculator, too
            held.forget()
            answer(failure(error, folder))


class Held:
    """The calculator, and the molecule that it has in hand."""

    def __init__(self, setup: Line) -> None:
        self.setup = setup
        self.factory = found(setup["factory"])
        self.calculator: Any = None
        self.molecule: object = None
        self.side_ang = 0.0
        if not setup["renewed"]:
            self.calculator = self.made(setup["keywords"])

    def made(self, keywords: Line) -> Any:
        """A calculator. Raises TypeError for a factory that gives something else."""
        calculator = self.factory(**keywords)
        if not hasattr(calculator, "get_forces"):
            raise TypeError(
                f"{self.setup['factory']} gives {type(calculator).__name__}, no calculator of ASE"
            )
        return calculator

    def forget(self) -> None:
        """Nothing of a failed calculation is used again."""
        if self.setup["renewed"]:
            self.calculator = None
        self.molecule = None

    def gradient(self, line: Line) -> Line:
        import numpy as np

        atoms = self.atoms(line)
        forces = np.asarray(atoms.get_forces(), dtype=float)
        if forces.shape != (len(atoms), 3):
            raise ValueError(f"its forces have the shape {forces.shape}, not {(len(atoms), 3)}")
        energy = np.asarray(atoms.get_potential_energy(), dtype=float)
        if energy.size != 1:
            raise ValueError(f"its energy has the shape {energy.shape}, not that of one number")
        return {"energy": energy.item(), "forces": forces.tolist()}

    def hessian(self, line: Line) -> list[list[float]] | None:
        import numpy as np

        atoms = self.atoms(line)
        if not hasattr(self.calculator, "get_hessian"):
            return None
        n = 3 * len(atoms)
        matrix: list[list[float]] = np.asarray(self.calculator.get_hessian(atoms)).reshape(n, n).tolist()
        return matrix

    def atoms(self, line: Line) -> Atoms:
        """The geometry asked for, with the calculator told of its electrons."""
        from ase import Atoms

        atoms = Atoms(numbers=line["numbers"], positions=line["positions"])
        electrons = self.setup["electrons"] or {}
        told = {
            "charge": int(line["charge"]),
            "multiplicity": int(line["multiplicity"]),
            "unpaired": int(line["multiplicity"]) - 1,
        }
        if self.molecule != line["molecule"] or self.calculator is None:
            if self.setup["renewed"]:
                keywords = json.loads(json.dumps(self.setup["keywords"]))
                for what, place in (electrons.get("keywords") or {}).items():
                    put(keywords, place.split("."), told[what])
                self.calculator = self.made(keywords)
            elif hasattr(self.calculator, "reset"):
                self.calculator.reset()  # ASE's memory of the last geometry does not know of its charge
            for what, method in (electrons.get("methods") or {}).items():
                getattr(self.calculator, method)(told[what])
            self.molecule = line["molecule"]
            self.side_ang = box_side(atoms)
        if self.setup.get("boxed"):
            atoms.set_cell([self.side_ang] * 3)
            atoms.center()
        for what, key in (electrons.get("info") or {}).items():
            atoms.info[key] = told[what]
        if electrons.get("moments"):
            atoms.set_initial_magnetic_moments([told["unpaired"]] + [0] * (len(atoms) - 1))
        atoms.calc = self.calculator
        return atoms


def box_side(atoms: Atoms) -> float:
    """Å: twice the molecule with its vacuum, which Martyna and Tuckerman's solver asks for of isolated ones.

    The molecule keeps the box of its first geometry, for energies change with it (J. Chem. Phys. 1999, 110,
    2810).
    """
    extent = (atoms.positions.max(axis=0) - atoms.positions.min(axis=0)).max()
    return float(2 * (extent + VACUUM_ANG))


def found(factory: str) -> Any:
    """The class or function behind `module:attribute`, or behind `file.py:attribute`."""
    place, _, name = factory.rpartition(":")
    if not place.endswith(".py"):
        return getattr(importlib.import_module(place), name)
    spec = importlib.util.spec_from_file_location("prerelax_potentials", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def put(keywords: Line, place: list[str], value: int) -> None:
    """Set a keyword, or a key within one."""
    for key in place[:-1]:
        keywords = keywords.setdefault(key, {})
    keywords[place[-1]] = value


def private_output() -> TextIO:
    """Standard output for the answers alone: what calculators print goes to standard error."""
    private = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return private


def lines_in() -> Iterator[Line]:
    """Lines as they come, read by a thread, so that the caller's death ends a running calculation too."""
    stdin = os.fdopen(os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a program that reads standard input shall not eat the requests
    waiting: queue.Queue[Line] = queue.Queue()

    def read() -> None:
        for line in stdin:
            waiting.put(json.loads(line))
        kill_all(started_by(os.getpid()))
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


def started_by(process: int) -> list[int]:
    """The processes that one has started, and those that they have, in sessions of their own too.

    As mpirun's ranks may be. None where there is no /proc.
    """
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # gone since it was listed
            continue
    found = [process]
    for parent in found:
        found += [each for each, of in parents.items() if of == parent]
    return found[1:]


def kill_all(processes: list[int]) -> None:
    for process in processes:
        try:
            os.kill(process, signal.SIGKILL)
        except OSError:
            continue


def failure(error: BaseException, folder: Path | None = None) -> Line:
    kind, words = type(error).__name__, " ".join(str(error).split())[:500]
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_name == "read_results":  # of ASE's calculators of programs
            kind, words = "UnreadableOutput", f"{kind}: {words}"
            break
        step = step.tb_next
    return {"failure": kind, "message": words, "output": tail(folder) if folder else ""}


def tail(folder: Path) -> str:
    """The end of a program's output: of the file that was written last and reads as text, outputs first.

    Links are left out: they lead elsewhere.
    """
    try:
        own = (each for each in folder.iterdir() if each.is_file() and not each.is_symlink())
        files = sorted(own, key=lambda each: (each.suffix in OUTPUTS, each.stat().st_mtime))
    except OSError:
        return ""
    for path in reversed(files):
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - TAIL_BYTES))
                data = file.read()
        except OSError:
            continue
        if data.strip() and b"\0" not in data:
            return data.decode(errors="replace")
    return ""


if __name__ == "__main__":
    serve()
