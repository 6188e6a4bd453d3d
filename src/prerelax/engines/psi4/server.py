"""Runs inside the program Psi4, not in prerelax: one line of JSON in, one line of JSON out.

Started as `psi4 --skip-preprocessor --input server.py`, so that whichever Python Psi4 was built for runs
it; only numpy and psi4 are imported, and nothing newer than Python 3.7 is used. The first line in is the
setup; it is answered by `{"version": ...}`. Then every line is a request:

- `{"kind": "check"}`: whether method and basis exist and the method has an analytic gradient, seen by
  computing H2. Answered by `{"basis_known": bool}` or a failure.
- `{"kind": "gradient", "atoms": [[symbol, x, y, z], ...] in bohr, "charge", "multiplicity"}`: answered by
  `{"energy_eh", "gradient", "iterations"}` (Eh/bohr) or a failure.

A failure is `{"failure": STATUS, "message": text}`. The end of standard input ends the process.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import psi4

if TYPE_CHECKING:
    Line = dict[str, Any]
    """an object of JSON"""

SCF_ATTEMPTS = (
    {"guess": "read", "soscf": False, "damping_percentage": 0.0},
    {"guess": "auto", "soscf": True, "damping_percentage": 0.0},
    {"guess": "auto", "soscf": False, "damping_percentage": 20.0, "damping_convergence": 1e-3},
)
"""Plain DIIS from the last geometry's orbitals; second order; damping, for Psi4 has no second order of
meta-GGAs."""

COMMON_ELEMENTS = ("H", "C", "O", "Na", "Fe", "I")
"""A basis that has none of these is taken for unknown."""


def serve() -> None:
    out = private_output()

    def answer(line: Line) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    lines = lines_in()
    setup = next(lines)
    psi4.core.set_memory_bytes(setup["memory_bytes"], True)
    psi4.set_options(setup["options"])
    answer({"version": psi4.__version__})
    last_symbols: list[str] = []
    for line in lines:
        symbols = [atom[0] for atom in line.get("atoms", [])]
        try:
            if line["kind"] == "check":
                answer(check(setup))
            else:
                answer(gradient(setup, line, symbols == last_symbols))
            last_symbols = symbols
        except Exception as error:
            psi4.core.clean()
            last_symbols = []
            answer(failure(error, setup["options"]["basis"], symbols))


def private_output() -> TextIO:
    """Standard output for the answers alone: what Psi4 prints goes to standard error."""
    private = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return private


def lines_in() -> Iterator[Line]:
    """Lines as they come, read by a thread, so that the caller's death ends a running calculation too."""
    waiting: queue.Queue[Line] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


def check(setup: Line) -> Line:
    known = len(without_functions(setup["options"]["basis"], COMMON_ELEMENTS)) < len(COMMON_ELEMENTS)
    psi4.set_options(dict(SCF_ATTEMPTS[1], basis="sto-3g", reference=reference(setup["method"], 1)))
    hydrogen = molecule([("H", 0.0, 0.0, 0.0), ("H", 0.0, 0.0, 1.4)], 0, 1)
    psi4.gradient(setup["method"], molecule=hydrogen, dertype=1)
    return {"basis_known": known}


def without_functions(basis: str, symbols: Iterable[str]) -> list[str]:
    """Those of the elements for which the basis has no functions."""
    return [symbol for symbol in symbols if not any(builds(basis, symbol, spin) for spin in (1, 2))]


def builds(basis: str, symbol: str, multiplicity: int) -> bool:
    try:
        atom = molecule([(symbol, 0.0, 0.0, 0.0)], 0, multiplicity)
        psi4.core.BasisSet.build(atom, "ORBITAL", basis, quiet=True)
    except Exception:
        return False
    return True


def gradient(setup: Line, line: Line, same_molecule: bool) -> Line:
    """Energy and gradient; the same molecule's last orbitals are the guess."""
    if not same_molecule:
        psi4.core.clean()
    mol = molecule(line["atoms"], line["charge"], line["multiplicity"])
    if not np.allclose(mol.geometry().to_array(), [atom[1:] for atom in line["atoms"]], atol=1e-9):
        # Psi4 1.3 beside numpy 2 reads every coordinate as zero.
        raise RuntimeError("Psi4 did not take over the coordinates; its numpy does not fit it")
    psi4.set_options({"reference": reference(setup["method"], line["multiplicity"])})
    wavefunction, forces = converged(setup["method"], mol, same_molecule)
    return {
        "energy_eh": wavefunction.energy(),
        "gradient": forces.tolist(),
        "iterations": int(psi4.core.variable("SCF ITERATIONS")),
    }


def converged(method: str, mol: Any, same_molecule: bool) -> tuple[Any, Any]:
    """Wave function and gradient [n_atoms, 3] of the first attempt that converges."""
    first = SCF_ATTEMPTS[0] if same_molecule else dict(SCF_ATTEMPTS[0], guess="auto")
    try:
        return attempt(method, mol, first)
    except Exception as error:
        if status_of(error) != "scf_failed":
            raise
        first_failure = error
    for options in SCF_ATTEMPTS[1:]:
        psi4.core.clean()
        try:
            return attempt(method, mol, options)
        except Exception:  # second order does not exist for every functional
            continue
    raise first_failure


def attempt(method: str, mol: Any, options: Line) -> tuple[Any, Any]:
    psi4.set_options(options)
    if mol.natom() == 1:  # no force, and Psi4 1.3 crashes over the gradient of a hydrogen atom
        return psi4.energy(method, molecule=mol, return_wfn=True)[1], np.zeros((1, 3))
    matrix, wavefunction = psi4.gradient(method, molecule=mol, dertype=1, return_wfn=True)
    return wavefunction, matrix.to_array()


def reference(method: str, multiplicity: int) -> str:
    return ("r" if multiplicity == 1 else "u") + ("hf" if method.lower() == "hf" else "ks")


def molecule(atoms: list[tuple[str, float, float, float]], charge: int, multiplicity: int) -> Any:
    """`atoms` are a symbol and three coordinates in bohr each."""
    lines = [f"{symbol} {float(x)!r} {float(y)!r} {float(z)!r}" for symbol, x, y, z in atoms]
    words = ["units bohr", "no_com", "no_reorient", "symmetry c1"]
    return psi4.geometry("\n".join([f"{int(charge)} {int(multiplicity)}", *lines, *words]))


def status_of(error: Exception) -> str:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = str(error).lower()
    if "ConvergenceError" in kinds:
        return "scf_failed"
    if "BasisSetNotFound" in kinds or "unable to find a basis set" in text:
        return "unsupported_element"
    if "MemoryError" in kinds or "bad_alloc" in text or "memory" in text:
        return "resource_error"
    return "unknown_error"


def failure(error: Exception, basis: str, symbols: list[str]) -> dict[str, str]:
    """The answer to a request that failed; for an unsupported element the message is its symbol."""
    status = status_of(error)
    message = "{}: {}".format(type(error).__name__, " ".join(str(error).split())[:300])
    if status == "unsupported_element":
        message = ", ".join(without_functions(basis, sorted(set(symbols)))) or message
    return {"failure": status, "message": message}


if __name__ == "__main__":
    serve()
