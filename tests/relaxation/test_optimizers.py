"""Optimizers are ASE's own paths, and gradients are counted apart from steps."""

import numpy as np
import pytest
from ase.build import molecule

from prerelax.engines import Level
from prerelax.relaxation.external import PACKAGES
from prerelax.relaxation.molecule import Relaxation, relax_molecule
from prerelax.relaxation.optimizers import OPTIMIZERS, validate_optimizer

GFN2 = Level(engine="tblite", method="GFN2-xTB")


def start(name="C2H6CHOH"):
    atoms = molecule("CH3CH2OH" if name == "C2H6CHOH" else name)
    atoms.rattle(0.08, seed=3)
    return atoms


def ours(atoms, charge=0, multiplicity=1, **settings):
    relaxation = Relaxation(**GFN2.model_dump(), **{"optimizer": "bfgs", **settings})
    return relax_molecule(atoms.numbers, atoms.positions, charge, multiplicity, relaxation)


def ase_by_hand(atoms, optimizer):
    import ase.optimize
    from tblite.ase import TBLite

    atoms = atoms.copy()
    atoms.calc = TBLite(method="GFN2-xTB", charge=0, multiplicity=1, verbosity=0)
    path = []
    run = getattr(ase.optimize, optimizer)(atoms, logfile=None)
    run.attach(lambda: path.append(atoms.get_positions()))
    converged = run.run(fmax=0.03, steps=1000)
    return converged, run.nsteps, path, atoms.get_potential_energy()


@pytest.mark.parametrize(("name", "ases"), [("bfgs", "BFGS"), ("lbfgs", "LBFGS"), ("fire", "FIRE")])
def test_the_path_is_ases_own(in_engine_process, name, ases):
    atoms = start()
    converged, steps, path, energy = in_engine_process(ase_by_hand, atoms, ases)
    result = in_engine_process(relax_with, atoms, name)
    assert converged and result.status == "ok" and result.converged
    assert result.n_steps == steps > 5
    assert result.n_gradients == steps + 1
    assert np.array_equal([e.positions for e in result.path], path)
    assert np.array_equal(result.positions, path[-1])
    assert result.energy_ev == energy
    assert result.start_energy_ev == result.path[0].energy_ev > result.energy_ev
    assert result.fmax_ev_ang < 0.03


def relax_with(atoms, optimizer):
    return ours(atoms, optimizer=optimizer)


def relax_at_most(atoms, max_steps):
    return ours(atoms, max_steps=max_steps)


def test_a_step_cap_leaves_a_relaxation_not_converged(in_engine_process):
    result = in_engine_process(relax_at_most, start(), 3)
    assert (result.status, result.converged) == ("not_converged", False)
    assert (result.n_steps, result.n_gradients) == (3, 4)
    assert "max_steps (3) was reached" in result.message
    assert result.fmax_ev_ang > 0.03


def test_a_single_atom_needs_one_gradient_and_no_step(in_engine_process):
    result = in_engine_process(ours, molecule("H"), 0, 2)
    assert (result.status, result.n_gradients, result.n_steps) == ("ok", 1, 0)


@pytest.mark.parametrize(("name", "charge", "multiplicity"), [("CH3", 0, 2), ("H2O", 1, 2), ("O2", 0, 3)])
def test_charged_and_open_shell_molecules(in_engine_process, name, charge, multiplicity):
    result = in_engine_process(ours, start(name), charge, multiplicity)
    assert result.status == "ok"
    assert result.n_gradients == result.n_steps + 1


def test_an_impossible_molecule_is_a_status(in_engine_process):
    result = in_engine_process(ours, start("H2O"), 1, 1)
    assert result.status == "input_error"
    assert (result.n_gradients, result.positions) == (0, None)


def test_names():
    for name in OPTIMIZERS.keys() - PACKAGES.keys():
        validate_optimizer(name)
    with pytest.raises(ValueError, match="did you mean bfgs"):
        validate_optimizer("bfsg")
