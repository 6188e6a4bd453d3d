"""A target that fails or is noisy on the way: no gradient is lost, and the row says what to do."""

from typing import Any

import numpy as np
import pytest
from ase.build import molecule

from prerelax.engines import EngineError
from prerelax.engines.tblite import XTB
from prerelax.relaxation import two_level
from prerelax.relaxation.molecule import relax_molecule
from prerelax.relaxation.settings import Relaxation

METHANOL = molecule("CH3OH")
POSITIONS = METHANOL.positions + np.random.default_rng(0).normal(scale=0.05, size=(6, 3))


def relaxed(**options: Any) -> Any:
    chosen = {"optimizer": "two-level", "convergence": "normal"} | options
    relaxation = Relaxation(engine="tblite", method="GFN2-xTB", **chosen)
    return relax_molecule(METHANOL.numbers, POSITIONS, 0, 1, relaxation)


class Faults:
    """What becomes of the target's evaluations, counted from 1; the guide's stay as they are."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.failing: set[int] = set()
        self.clashing: set[int] = set()
        self.none: set[int] = set()
        self.noise_ev = 0.0
        self.calls = 0
        real, random, faults = XTB.energy_and_forces, np.random.default_rng(1), self

        def evaluated(engine: XTB, *arguments: Any) -> Any:
            energy, forces = real(engine, *arguments)
            if engine.program != "GFN2-xTB":
                return energy, forces
            faults.calls += 1
            if faults.calls in faults.failing:
                raise EngineError("scf_failed", "the SCF did not converge")
            if faults.calls in faults.clashing:
                raise EngineError("input_error", "H1 and H2 are 0.1 Å apart: two atoms on one spot, mend it")
            if faults.calls in faults.none:
                return float("nan"), forces
            return energy + random.normal(scale=faults.noise_ev), forces

        patch.setattr(XTB, "energy_and_forces", evaluated)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


def test_a_step_at_whose_end_the_target_fails_is_halved(faults: Faults) -> None:
    whole = relaxed()
    for kind in ("failing", "none", "clashing"):
        faults.calls = 0
        setattr(faults, kind, {2})
        found = relaxed()
        assert found.status == "ok" and "the target failed, halved: 1" in found.message
        assert found.energy_ev == pytest.approx(whole.energy_ev, abs=1e-4)
        assert found.n_gradients == found.n_steps + 1
        setattr(faults, kind, set())


@pytest.mark.parametrize("first", [1, 2])
def test_a_target_that_keeps_failing_leaves_what_it_had(faults: Faults, first: int) -> None:
    faults.failing = set(range(first, 100))
    found = relaxed()
    assert found.status == "scf_failed" and "the SCF did not converge" in found.message
    assert found.n_gradients == first - 1 and (found.positions is None) == (first == 1)
    assert faults.calls <= first + 3


def test_a_step_that_leads_atoms_together_is_not_the_input_s_fault(faults: Faults) -> None:
    faults.clashing = {1}
    assert relaxed().status == "input_error"
    faults.calls, faults.clashing = 0, {3}
    found = relaxed(optimizer="bfgs")
    assert found.status == "scf_failed" and found.n_gradients == 2
    assert found.message == (
        "a step of bfgs led where nothing can be computed (H1 and H2 are 0.1 Å apart); begin nearer to the "
        "minimum"
    )


def test_energies_that_jump_do_not_keep_a_relaxation_going(faults: Faults) -> None:
    """Where the forces are right; 0.01 eV is what a grid that changes its points gives at worst."""
    whole = relaxed()
    faults.noise_ev = 0.01
    found = relaxed(max_steps=40)
    assert found.status == "ok" and found.n_gradients <= 20
    assert found.energy_ev == pytest.approx(whole.energy_ev, abs=0.05)


def test_a_guide_that_leads_nowhere_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before what is known of the difference fills the memory."""
    monkeypatch.setattr(two_level, "MOST_KNOWN", 3 * 6)
    found = relaxed()
    assert found.status == "ok" and "gfn1, which led to no minimum in 2 gradients" in found.message


def test_what_falls_apart_is_told_so() -> None:
    relaxation = Relaxation(engine="tblite", method="GFN2-xTB", optimizer="bfgs", max_steps=20)
    ion = relax_molecule(np.array([53, 53]), np.array([[0, 0, 0], [0, 0, 3.0]]), -2, 1, relaxation)
    assert ion.status == "not_converged" and "fell into 2 pieces" in ion.message
    assert "raise max_steps" not in ion.message
