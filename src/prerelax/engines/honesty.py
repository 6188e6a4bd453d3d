"""Trials of a calculator that prerelax did not write, before it is trusted with a campaign.

Potentials that ignore the charge without a word, forces that are not the energy's derivative and energies in
other units relax molecules to somewhere. Each trial is a few gradients of molecules of two or three atoms.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from prerelax.engines import EngineError, Level, engine_named, level_settings, make_calculator
from prerelax.engines.ase.calculator import AseCalculator
from prerelax.errors import UserError
from prerelax.site_file import read_site, site_path

NEWTON_PER_M = 16.0217663
"""one eV/Å²"""
BREATHING: dict[str, tuple[list[str], list[list[float]], float]] = {
    "H2O": (["O", "H", "H"], [[0.0, 0.0, 0.0], [0.0, 0.7572, 0.5865], [0.0, -0.7572, 0.5865]], 1670.0),
    "N2": (["N", "N"], [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0977]], 2295.0),
    "CH4": (["C", *"HHHH"], [[0.0, 0, 0], [1.0, 1, 1], [1.0, -1, -1], [-1.0, 1, -1], [-1.0, -1, 1]], 2170.0),
    "H2": (["H", "H"], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.7414]], 575.0),
    "HF": (["F", "H"], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.9168]], 966.0),
    "CO": (["C", "O"], [[0.0, 0.0, 0.0], [0.0, 0.0, 1.1283]], 1902.0),
    "HCl": (["Cl", "H"], [[0.0, 0.0, 0.0], [0.0, 0.0, 1.2746]], 516.0),
    "F2": (["F", "F"], [[0.0, 0.0, 0.0], [0.0, 0.0, 1.4119]], 470.0),
    "Cl2": (["Cl", "Cl"], [[0.0, 0.0, 0.0], [0.0, 0.0, 1.9879]], 323.0),
}
"""Closed shells about their first atom: elements, positions in Å, and the force constant in N/m of all bonds
stretched alike, from harmonic frequencies (Huber and Herzberg, 1979; Shimanouchi, 1972)."""
ALIKE = 3
"""So many molecules that fail with the same words are not to blame: the first three have C, H, N and O."""
CH_ANG = 1.087
SCALE = 4.0
"""The factor by which a force constant may be off: GFN-FF's H2 is by 2.2, other units are by 13 and more."""
UNITS = {"Hartree": 27.2114, "kcal/mol": 0.0433641, "kJ/mol": 0.0103643, "Rydberg": 13.6057}
FORCE_UNITS = {
    "of the opposite sign": -1.0,
    "in Hartree/bohr": 51.4221,
    "in Hartree/Å": 27.2114,
    "in eV/bohr": 1.88973,
    "in kcal/mol/Å": 0.0433641,
    "in kJ/mol/Å": 0.0103643,
}
"""What a number in these units is multiplied by to give eV, or eV/Å."""
STEP_ANG = 0.01
SLOPE_TOLERANCE = (0.03, 0.02)
"""relative, and in eV/Å: xTB and DFT grids are within a fifth of it"""
SAME_EV, SAME_EV_ANG = 2e-4, 2e-3
OTHER_EV = 0.05
"""Another charge or multiplicity changes a molecule's energy by more."""
LIMIT_S = 600.0
"""For a gradient of a trial, where the site file sets no `gradient_limit_s`."""

Verdict = str
"""`ok`, `wrong`, or `not tried`"""
_Found = tuple[Verdict, str]
"""What a trial says: its verdict, and the figures behind it."""


@dataclass(frozen=True)
class Trial:
    """One trial and what came out."""

    what: str
    verdict: Verdict
    found: str


class DishonestError(UserError):
    """A calculator that failed a trial; the message says which and what to do."""


def trials(level: Level, threads: int = 1) -> Iterator[Trial]:
    """The trials of a level's calculator, one after the other; the first that is wrong ends them.

    Raises UserError where the calculator may not or cannot run here, or treats no molecule that it could be
    tried on, EngineError where it hangs.
    """
    for _, trial in _trials(level, threads):
        done = trial()
        yield done
        if done.verdict == "wrong":
            return


def _trials(level: Level, threads: int) -> Iterator[tuple[str, Callable[[], Trial]]]:
    """What is tried, and the trial."""
    engine_named(level.engine).check_here(level)
    bench = _Bench(level, threads)
    for what, trial in TRIALS.items():
        yield what, partial(_tried_out, what, trial, bench)


def _tried_out(what: str, trial: "Callable[[_Bench], _Found]", bench: "_Bench") -> Trial:
    return Trial(what, *trial(bench))


def check_honest(level: Level, threads: int = 1, say: Callable[[str], None] = lambda line: None) -> None:
    """Raise DishonestError where a calculator fails a trial, UserError where it may not or cannot run here.

    Engines that are part of prerelax are proven by its tests; what passed once, with the same settings, is
    not tried again on this machine. `say` hears that trials begin.
    """
    if level.engine != "ase":
        return
    engine_named(level.engine).check_here(level)
    passed = _note(level)
    if passed.exists():
        return
    say(f"trying {level.calculator} on molecules of two to five atoms before the first molecule")
    try:
        done = list(trials(level, threads))
    except EngineError as error:
        raise UserError(f"the calculator {level.calculator} cannot be tried: {error.message}") from None
    for trial in done:
        if trial.verdict == "wrong":
            raise DishonestError(
                f"the calculator {level.calculator} cannot be trusted: {trial.found}; nothing was computed"
            )
    try:
        passed.parent.mkdir(parents=True, exist_ok=True)
        passed.write_text(json.dumps([asdict(trial) for trial in done], indent=1))
    except OSError:
        pass  # then it is tried again


def report_trials(name: str, level: Level, write: Callable[[str], object]) -> bool:
    """Write a level's trials, each named before it is run; whether it passed all.

    Raises UserError where the calculator cannot be tried.
    """
    engine_named(level.engine).check_here(level)
    level_settings(level)  # says what is missing on this machine, and where to name it
    write(f"{name}: {level}\n")
    width = max(map(len, TRIALS))
    for what, trial in _trials(level, 1):
        write(f"  {what:<{width}}  ")
        try:
            done = trial()
        except EngineError as error:
            done = Trial(what, "wrong", error.message)
        except UserError:
            write("cannot be tried\n")
            raise
        write(f"{done.verdict:<9}  {done.found}\n")
        if done.verdict == "wrong":
            return False
    return True


def _note(level: Level) -> Path:
    """Where it is noted that a calculator with these settings passed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    text = json.dumps(level_settings(level), sort_keys=True)
    return cache / "prerelax" / "trials" / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


class _Bench:
    """Evaluates a level's calculator; molecules in whose elements it is not at home are left out."""

    def __init__(self, level: Level, threads: int) -> None:
        self.level = level
        self.threads = threads
        self.told = engine_named(level.engine).told_of_electrons(level)

    def __call__(
        self, atoms: Sequence[Atoms], charge: int = 0, multiplicity: int = 1
    ) -> list[tuple[float, NDArray[np.float64]]]:
        """Energies in eV and forces [n_atoms, 3] in eV/Å. Raises EngineError."""
        calculator = make_calculator(
            self.level, charge=charge, multiplicity=multiplicity, threads=self.threads
        )
        if isinstance(calculator, AseCalculator) and "gradient_limit_s" not in read_site().model_fields_set:
            calculator.limit_s = LIMIT_S
        found = []
        try:
            for each in atoms:
                calculator.calculate(each)
                found.append((calculator.results["energy"], calculator.results["forces"]))
        except EngineError as error:
            raise _with_advice(error) from None
        finally:
            calculator.close()
        return found

    def breathing(self) -> Iterator[tuple[str, Callable[[float], Atoms], float]]:
        """Molecules of its elements: name, geometry with bonds so much longer, force constant in eV/Å²."""
        for name, (symbols, positions, constant) in BREATHING.items():
            if self.level.elements is None or set(symbols) <= set(self.level.elements):
                yield name, partial(_stretched, symbols, positions), constant / NEWTON_PER_M


def _with_advice(error: EngineError) -> EngineError:
    """Of a program that hangs: what to do."""
    if error.status != "timeout":
        return error
    advice = f"see whether it runs by itself; to wait longer, set `gradient_limit_s` in {site_path()}"
    return EngineError(error.status, f"{error.message}; {advice}", error.output)


def _stretched(symbols: list[str], positions: list[list[float]], by: float) -> Atoms:
    atoms = Atoms(symbols, positions)
    lengths = np.linalg.norm(atoms.positions[1:], axis=1, keepdims=True)
    length = CH_ANG if len(atoms) == 5 else lengths
    atoms.positions[1:] *= (length + by) / lengths
    return atoms


def _units(bench: _Bench) -> _Found:
    """Of the molecules it treats, one at least has the force constant that is measured: a potential may not
    have been taught all of them.
    """
    shift = 0.05
    tried: list[tuple[str, float]] = []
    failed: dict[str, EngineError] = {}
    for name, stretched, constant in bench.breathing():
        try:
            (low, _), (middle, _), (high, _) = bench([stretched(by) for by in (-shift, 0.0, shift)])
        except EngineError as error:
            if error.status == "timeout":  # the next molecule would hang as long
                raise
            failed[name] = error
            if not tried and [each.message for each in failed.values()] == [error.message] * ALIKE:
                break
            continue
        found = (low + high - 2 * middle) / shift**2
        words = f"{name} has a force constant of {found:.3g} eV/Å², measured {constant:.3g}"
        if constant / SCALE < found < constant * SCALE:
            return ("ok", words)
        tried.append((words, constant / found if found > 0 else 0.0))
    if not tried and not failed:
        elements = ", ".join(bench.level.elements or ())
        raise UserError(
            f"the calculator {bench.level.calculator} treats none of {', '.join(BREATHING)}, which it is "
            f"tried on: its elements are {elements}"
        )
    if not tried:
        failure = next(iter(failed.values()))
        raise UserError(
            f"the calculator {bench.level.calculator} cannot be tried, it fails for {', '.join(failed)}: "
            f"{failure}"
        )
    words, ratio = tried[0]
    guess = _nearest(ratio, UNITS) if ratio else None
    hint = f": its energies seem to be in {guess}, not eV" if guess else ": its energies are not in eV"
    return ("wrong", words + hint)


def _slope(bench: _Bench) -> _Found:
    atoms, away = _tried(bench)
    behind, ahead = atoms.copy(), atoms.copy()
    behind.positions -= STEP_ANG * away
    ahead.positions += STEP_ANG * away
    (low, _), (_, forces), (high, _) = bench([behind, atoms, ahead])
    slope = (low - high) / (2 * STEP_ANG)
    said = float(np.sum(forces * away))
    words = f"along one direction {said:.4g} eV/Å, by differences of energies {slope:.4g}"
    relative, absolute = SLOPE_TOLERANCE
    if abs(said - slope) < relative * abs(slope) + absolute:
        return ("ok", words)
    guess = _nearest(slope / said, FORCE_UNITS) if said else None
    hint = f": its forces seem to be {guess}" if guess else ": its forces are not its energy's derivative"
    return ("wrong", words + hint)


def _twice(bench: _Bench) -> _Found:
    atoms, away = _tried(bench)
    elsewhere = atoms.copy()
    elsewhere.positions += 0.1 * away
    first, _, again = bench([atoms, elsewhere, atoms])
    (fresh,) = bench([atoms])
    energy = max(abs(other[0] - first[0]) for other in (again, fresh))
    force = max(float(np.abs(other[1] - first[1]).max()) for other in (again, fresh))
    words = f"energies differ by {energy:.1g} eV, forces by {force:.1g} eV/Å"
    if energy < SAME_EV and force < SAME_EV_ANG:
        return ("ok", words)
    return ("wrong", f"{words} where one geometry is computed again")


def _charges(bench: _Bench) -> _Found:
    if "charge" not in bench.told:
        return ("not tried", "nothing tells it of charge: it treats neutral molecules only")
    if "multiplicity" not in bench.told:
        return _refused_is_wrong(bench, _differ(bench, _hydroxide(), ((-1, 1), (1, 1)), "charge"))
    atoms, _ = _tried(bench)
    found = _differ(bench, atoms, ((0, 1), (1, 2)), "charge")
    if found[0] == "ok":  # the multiplicity alone may have made the difference
        doublets = _differ(bench, atoms, ((-1, 2), (1, 2)), "charge")
        return doublets if doublets[0] == "wrong" else found
    if found[0] == "not tried":  # some treat no radicals
        found = _differ(bench, _hydroxide(), ((-1, 1), (1, 1)), "charge")
    return _refused_is_wrong(bench, found)


def _refused_is_wrong(bench: _Bench, found: _Found) -> _Found:
    """What was not tried, where the user's own `electrons` say that charge is told.

    One that counts electrons, and is told of charge by a keyword that it does not know, refuses every ion.
    """
    elements = bench.level.elements
    if found[0] != "not tried" or bench.level.electrons is None:
        return found
    if elements is not None and not {"O", "H"} <= set(elements):
        return found
    return ("wrong", f"{found[1]}; see whether electrons names what it takes charge by, or leave charge out")


def _multiplicities(bench: _Bench) -> _Found:
    if "multiplicity" not in bench.told:
        return ("not tried", "nothing tells it of the multiplicity: it treats closed shells only")
    return _differ(bench, _tried(bench)[0], ((0, 1), (0, 3)), "multiplicity")


def _differ(bench: _Bench, atoms: Atoms, states: tuple[tuple[int, int], tuple[int, int]], of: str) -> _Found:
    energies = []
    for charge, multiplicity in states:
        try:
            energies.append(bench([atoms], charge, multiplicity)[0][0])
        except EngineError as error:
            said = f"charge {charge:+d}, multiplicity {multiplicity}"
            return (
                "not tried",
                f"it refuses {said} of {atoms.get_chemical_formula()}: {error.message[:120]}",
            )
    words = f"{atoms.get_chemical_formula()}: {energies[1] - energies[0]:+.3g} eV"
    if abs(energies[1] - energies[0]) > OTHER_EV:
        return ("ok", words)
    or_name = f", or name there what it takes {of} by"
    return ("wrong", f"{words} for another {of}, which it ignores; leave {of} out of electrons{or_name}")


def _tried(bench: _Bench) -> tuple[Atoms, NDArray[np.float64]]:
    """A distorted molecule, and a direction [n_atoms, 3] of length 1 along which its energy changes."""
    symbols, positions = "OHH", [[0.0, 0.0, 0.0], [0.0, 0.80, 0.62], [0.0, -0.72, 0.55]]
    atoms = Atoms(symbols, positions)
    elements = bench.level.elements
    if elements is not None and not {"O", "H"} <= set(elements):
        _, stretched, _ = next(bench.breathing())
        atoms = stretched(0.08)
    away = np.linspace(0.3, 1.0, 3 * len(atoms)).reshape(-1, 3) * np.sign(atoms.positions + 1e-9)
    return atoms, away / np.linalg.norm(away)


def _hydroxide() -> Atoms:
    return Atoms("OH", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.98]])


def _nearest(ratio: float, units: dict[str, float]) -> str | None:
    """The unit whose factor a ratio is near to."""
    near = {name: abs(np.log(abs(ratio / factor))) for name, factor in units.items() if ratio * factor > 0}
    best = min(near, key=lambda name: near[name], default=None)
    return best if best is not None and near[best] < 0.35 else None


TRIALS: dict[str, Callable[[_Bench], _Found]] = {
    "energies are in eV": _units,
    "forces are the energy's derivative": _slope,
    "the same number twice": _twice,
    "another charge is another energy": _charges,
    "another multiplicity is another energy": _multiplicities,
}
"""What is tried, in this order."""
