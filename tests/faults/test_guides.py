"""A cheap level that fails on the way: the molecule is relaxed all the same, and its row says so."""

from typing import Any

import numpy as np
import pytest
from ase.build import molecule

from prerelax.engines import EngineError
from prerelax.relaxation.cheap_surface import CheapSurface
from prerelax.relaxation.molecule import relax_molecule
from prerelax.relaxation.settings import Relaxation

METHANOL = molecule("CH3OH")
POSITIONS = METHANOL.positions + np.random.default_rng(0).normal(scale=0.05, size=(6, 3))
FAILURES = ("an error", "an error once", "numbers that are none")


def relaxed(**options: Any) -> Any:
    relaxation = Relaxation(engine="tblite", method="GFN2-xTB", **options)
    return relax_molecule(METHANOL.numbers, POSITIONS, 0, 1, relaxation)


@pytest.mark.parametrize("optimizer", ["two-level", "bfgs-hessian"])
@pytest.mark.parametrize("cheap_level", ["gfn1", "mmff94"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_guide_that_fails_costs_gradients_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, optimizer: str, cheap_level: str, failure: str
) -> None:
    options = {"optimizer": optimizer, "cheap_level": cheap_level, "convergence": "normal"}
    calls, fails_at = 0, 10**9
    real = CheapSurface._evaluated

    def evaluated(surface: CheapSurface, x: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < fails_at or (failure == "an error once" and calls > fails_at):
            return real(surface, x)
        if failure == "numbers that are none":
            return float("nan"), np.full(len(x), np.nan)
        raise EngineError("scf_failed", "the guide did not converge")

    monkeypatch.setattr(CheapSurface, "_evaluated", evaluated)
    whole, total = relaxed(**options), calls
    assert whole.status == "ok" and total > 10
    for share in (0.0, 0.3, 0.6, 0.9):
        calls, fails_at = 0, round(share * total) + 1
        found = relaxed(**options)
        assert found.status == "ok", f"call {fails_at} of {total}: {found.message}"
        assert found.energy_ev == pytest.approx(whole.energy_ev, abs=2e-3), f"call {fails_at}"
