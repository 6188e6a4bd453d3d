"""How an engine's failure is named, and what no engine should be asked to compute."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

if TYPE_CHECKING:  # the workflow checks levels in every job and should not wait for file formats
    from prerelax.molecules.status import Status

CLASH_DISTANCE_ANG = 0.25
"""Atoms closer than this are no molecule: xTB returns energies of 1e5 eV there, or stops."""


class EngineError(Exception):
    """An engine could not evaluate a molecule: a row status, and a sentence a chemist can act on.

    `output` is the end of what the program itself wrote, for the log.
    """

    def __init__(self, status: Status, message: str, output: str = "") -> None:
        super().__init__(status, message, output)
        self.status: Status = status
        self.message = message
        self.output = output

    def __str__(self) -> str:
        return self.message


SAID: tuple[tuple[str, Status, str], ...] = (
    (
        r"licen[cs]e.{0,80}(?:not|no|expired|invalid|fail|missing|denied)|(?:no|invalid|expired)\b.{0,40}licen[cs]e",
        "unknown_error",
        "it found no valid licence on this machine",
    ),
    (
        r"no space left on device|disk quota exceeded|disk full",
        "unknown_error",
        "no room for its scratch files; make some, or set `scratch` in the site file",
    ),
    (
        r"out of memory|not enough memory|insufficient memory|cannot allocate|bad_alloc|oom-kill|"
        r"MA_.{0,20}(?:not|fail)|allocation failed|more memory",
        "resource_error",
        "it ran out of memory; give the job more, or set `memory_mb` in the site file",
    ),
    (
        r"ended with signal 9\b|error code -9\b|failed with args \(-9,|(?:exit status|error code) 137\b|"
        r"signal 9 \(killed\)",
        "resource_error",
        "it was killed from outside, most likely for its memory; give the job more",
    ),
    (
        r"scf (?:is )?not (?:fully )?converged|convergence failure|did not converge|failed to converge|"
        r"not converge|no convergence|unable to achieve self-consistence|scf has not converged|"
        r"calculation failed to converge",
        "scf_failed",
        "its SCF did not converge; check charge, multiplicity and geometry",
    ),
)
"""Words of programs about how they failed, the status that they mean, and a sentence."""


PLAIN_FAILURES = ("CalculationFailed", "CalculatorError")
"""Classes that say no more than their text."""
COMPLAINT = re.compile(
    r"\b(?:error|fail|not recognized|unrecogni[sz]ed|unknown|invalid|abort)", re.IGNORECASE
)
"""of a line that is worth showing"""


def failure_said(program: str, kind: str, message: str, output: str) -> EngineError:
    """The status and message of a calculator's exception: its class, its text, the end of its output."""
    if kind in ("FileNotFoundError", "CommandNotFound") or "exit status 127" in message:
        text = f"{program} or its data cannot be found on this machine: {message}"
        return EngineError("unknown_error", text, output)
    if kind == "MemoryError":
        return EngineError("resource_error", f"{program} ran out of memory; give the job more", output)
    for words, status, sentence in SAID:
        if re.search(words, f"{message}\n{output}", re.IGNORECASE):
            return EngineError(status, f"{program}: {sentence}", output)
    if kind in ("NotImplementedError", "PropertyNotImplementedError", "PropertyNotPresent"):
        text = f"{program} gave no forces ({message}): its output is cut short, or its method has none"
        return EngineError("unknown_error", text, output)
    complaint = next(filter(COMPLAINT.search, reversed(output.splitlines())), "")
    said = f'; its output says "{" ".join(complaint.strip(" *!").split())[:150]}"' if complaint else ""
    if kind == "UnreadableOutput":
        text = f"{program}: its output cannot be read ({message}): it is cut short, or of an unknown form"
        return EngineError("unknown_error", f"{text}{said}", output)
    kind = "" if kind in PLAIN_FAILURES else kind
    what = f"{kind}: {message}" if kind and message else kind or message
    return EngineError("unknown_error", f"{program}: {what}{said}", output)


def check_molecule(
    numbers: NDArray[np.integer], positions: NDArray[np.floating], charge: int, multiplicity: int
) -> None:
    """Raise EngineError(input_error) for what no engine can compute.

    No atoms, dummy atoms, coordinates that are not finite, two atoms on one spot, and electrons that
    contradict the multiplicity. Engines answer these with nonsense or with corrupted memory (tblite 0.8).
    `numbers` [n_atoms], `positions` [n_atoms, 3] in Å.
    """
    if len(numbers) == 0:
        raise EngineError("input_error", "the molecule has no atoms")
    if np.any(numbers <= 0) or np.any(numbers >= len(chemical_symbols)):
        raise EngineError("input_error", "the molecule holds a dummy atom or an unknown atomic number")
    _check_geometry(numbers, np.asarray(positions, dtype=float))
    _check_electrons(int(np.sum(numbers)) - charge, charge, multiplicity)


def _check_geometry(numbers: NDArray[np.integer], positions: NDArray[np.float64]) -> None:
    if not np.all(np.isfinite(positions)):
        atom = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
        raise EngineError("input_error", f"the coordinates of atom {atom + 1} are not finite numbers")
    distances = np.linalg.norm(positions[:, None] - positions[None, :], axis=-1)
    np.fill_diagonal(distances, np.inf)
    a, b = np.unravel_index(np.argmin(distances), distances.shape)
    if distances[a, b] < CLASH_DISTANCE_ANG:
        pair = f"{chemical_symbols[numbers[a]]}{a + 1} and {chemical_symbols[numbers[b]]}{b + 1}"
        raise EngineError(
            "input_error",
            f"{pair} are {distances[a, b]:.3f} Å apart: two atoms on one spot, mend the geometry",
        )


def _check_electrons(electrons: int, charge: int, multiplicity: int) -> None:
    if electrons < 0:
        raise EngineError("input_error", f"charge {charge:+d} takes away more electrons than there are")
    unpaired = multiplicity - 1
    if unpaired < 0 or unpaired > electrons or (electrons - unpaired) % 2:
        nearest = 1 if electrons % 2 == 0 else 2
        raise EngineError(
            "input_error",
            f"multiplicity {multiplicity} is impossible with {electrons} electrons (charge "
            f"{f'{charge:+d}' if charge else 0}); "
            f"the lowest possible is {nearest}",
        )


def check_elements(numbers: NDArray[np.integer], unsupported: Iterable[int], what: str) -> None:
    """Raise EngineError(unsupported_element) naming the elements of `numbers` that are in `unsupported`."""
    missing = sorted(set(numbers.tolist()) & set(unsupported))
    if missing:
        symbols = ", ".join(chemical_symbols[z] for z in missing)
        raise EngineError("unsupported_element", f"{what} has no parameters for {symbols}")
