"""What a worker tells of a molecule, and what it makes of what a job before computed."""

import json

from ase.build import molecule

from prerelax.relaxation import worker
from prerelax.relaxation.settings import Relaxation

GFN2 = Relaxation(engine="tblite", method="GFN2-xTB", optimizer="two-level", check_minimum="target")


def relaxed(known, kept_s=0.0):
    """The answer, and the gradients that were told whole."""
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=1)
    worker.KEPT_S = kept_s
    told = []
    task = {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "charge": 0,
        "multiplicity": 1,
        "known": known,
    }
    answer = worker._relax(GFN2, 1, False, task, told.append)
    assert told[0]["n_gradients"] == 1
    return answer, [line["computed"] for line in json.loads(json.dumps(told)) if "computed" in line]


def test_a_gradient_that_is_known_is_counted_and_not_computed(in_engine_process):
    whole, computed = in_engine_process(relaxed, [])
    n, n_check = whole["n_gradients"], whole["n_gradients_check"]
    assert n >= 3 and n_check == 18 and len(computed) == n + n_check, "those of the check too"
    strange = [{"positions": [[0.0, 0.0, 0.0]], "energy_ev": -1.0, "forces": [[0.0, 0.0, 0.0]]}, {}]
    known = [*strange, computed[0] | {"wall_s": 1000.0}, *computed[1 : n + 5]]
    resumed, rest = in_engine_process(relaxed, known)
    assert len(rest) == n_check - 5
    assert resumed["wall_s"] > 1000.0, "what it took in both jobs"
    times = ("wall_s",)
    assert {k: v for k, v in resumed.items() if k not in times} == {
        k: v for k, v in whole.items() if k not in times
    }


def test_gradients_that_cost_nothing_are_not_kept(in_engine_process):
    assert in_engine_process(relaxed, [], 1000.0)[1] == []
