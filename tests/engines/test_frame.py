"""What every engine says of itself, and the frame of their calculators."""

import errno
import subprocess
import sys

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.calculator import CalculationFailed, InputError, SCFError

from prerelax.engines import ENGINES, EngineCalculator, EngineError, engine_named


def test_an_engine_is_called_what_the_registry_calls_it():
    assert {name: engine_named(name).name for name in ENGINES} == {name: name for name in ENGINES}
    assert {name for name in ENGINES if engine_named(name).is_cheap} == {"tblite", "mlff"}
    assert {name for name in ENGINES if engine_named(name).in_torch} == {"mlff"}


def test_asking_an_engine_what_it_is_imports_no_program():
    code = (
        "import sys; from prerelax.engines import ENGINES, engine_named;"
        "[engine_named(name).is_cheap for name in ENGINES];"
        "heavy = {'torch', 'rdkit', 'pyscf', 'tblite', 'pandas', 'scipy'} & set(sys.modules);"
        "assert not heavy and 'ase.io' not in sys.modules, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class Scripted(EngineCalculator):
    """An engine that does what it is told: raises an error, or returns energy and forces."""

    def __init__(self, outcome, elements=None):
        super().__init__("the script", 0, 1, elements)
        self.outcome = outcome

    def energy_and_forces(self, atoms, changes):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "status", "words"),
    [
        (EngineError("timeout", "as it is"), "timeout", "as it is"),
        (MemoryError("2 GB"), "resource_error", "the script ran out of memory"),
        (np.linalg.LinAlgError("singular"), "scf_failed", "linear algebra failed"),
        (CalculationFailed("no convergence"), "scf_failed", "the script: no convergence"),
        (SCFError("no convergence"), "scf_failed", "the script: no convergence"),
        (InputError("no such\nelement"), "scf_failed", "the script: no such element"),
        (KeyError("x"), "unknown_error", "the script: KeyError: 'x'"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "unknown_error",
            "device for temporary files; make",
        ),
        (
            OSError(errno.EIO, "Input/output error"),
            "unknown_error",
            "the script: OSError: .*Input/output error",
        ),
        ((np.nan, np.zeros((3, 3))), "scf_failed", "not numbers"),
        ((0.0, np.full((3, 3), np.inf)), "scf_failed", "not numbers"),
    ],
)
def test_every_failure_has_a_status(outcome, status, words):
    with pytest.raises(EngineError, match=words) as caught:
        Scripted(outcome).calculate(molecule("H2O"))
    assert caught.value.status == status


def test_elements_are_looked_at_before_the_engine_is_asked():
    with pytest.raises(EngineError, match="the script has no parameters for O") as caught:
        Scripted(AssertionError("asked"), elements=[1]).calculate(molecule("H2O"))
    assert caught.value.status == "unsupported_element"


def test_results_are_those_ase_asks_for():
    atoms = molecule("H2O")
    forces = np.arange(9.0).reshape(3, 3)
    atoms.calc = Scripted((-1.5, forces), elements=[1, 8])
    assert atoms.get_potential_energy() == -1.5
    np.testing.assert_array_equal(atoms.get_forces(), forces)
    atoms.calc.close()
