"""Criteria of convergence, and the energy that is expected to be left."""

import re
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from ase.units import Bohr, Hartree

from prerelax.engines import EngineError
from prerelax.relaxation.ahead import KCAL_MOL, Ahead, converged, meets, quadratic, unmet
from prerelax.relaxation.cheap_surface import CheapSurface
from prerelax.relaxation.convergence import CRITERIA
from prerelax.relaxation.first_hessian import model_hessian
from prerelax.relaxation.foresight import Foresight
from prerelax.relaxation.molecule import relax_molecule
from prerelax.relaxation.optimizers import Evaluation
from prerelax.relaxation.preconditioned import internal_space
from prerelax.relaxation.settings import Relaxation

NORMAL = CRITERIA["normal"]


def gfn2(**settings):
    return Relaxation(engine="tblite", method="GFN2-xTB", cheap_level="gfn1", **settings)


def uniform(component_au, size=9):
    return np.full(size, component_au) * Hartree / Bohr


def test_the_quadratic_model_finds_its_own_minimum():
    atoms = molecule("CH3CHO")
    hessian = model_hessian(atoms.numbers, atoms.positions)
    space = internal_space(atoms.positions)
    step = space @ np.random.default_rng(0).normal(scale=0.01, size=space.shape[1])
    ahead = quadratic(hessian, -hessian @ step, atoms.positions)
    np.testing.assert_allclose(ahead.step, step, atol=1e-8)
    assert ahead.fall_ev == pytest.approx(step @ hessian @ step / 2)


def test_no_minimum_is_expected_along_a_flat_or_falling_direction():
    atoms = molecule("H2O")
    hessian = model_hessian(atoms.numbers, atoms.positions)
    gradient = uniform(1e-5)
    assert quadratic(-hessian, gradient, atoms.positions).fall_ev == np.inf
    assert quadratic(0 * hessian, gradient, atoms.positions).energy_left_kcal_mol is None
    assert not converged(NORMAL, gradient, Ahead(np.zeros(9), np.inf))


@pytest.mark.parametrize(
    ("gradient_au", "step_bohr", "left_kcal_mol", "expected"),
    [
        (2e-4, 1e-3, 0.01, True),
        (5e-4, 1e-3, 0.01, False),
        (2e-4, 3e-3, 0.01, False),
        (2e-4, 1e-3, 0.03, False),
        (2e-6, 3e-3, 0.01, True),
    ],
)
def test_each_criterion_counts(gradient_au, step_bohr, left_kcal_mol, expected):
    """The last: forces a hundredth of their limits, where a flat surface asks for long steps."""
    ahead = Ahead(np.full(9, step_bohr * Bohr), left_kcal_mol * KCAL_MOL)
    assert converged(NORMAL, uniform(gradient_au), ahead) is expected


def test_gaussian_s_sets():
    tiny = Ahead(np.full(9, 1e-6), 0.0)
    found = [meets(uniform(size), tiny) for size in (3e-3, 1e-3, 2e-4, 5e-6)]
    assert found == ["none", "loose", "default", "tight"]


def test_an_explicit_fmax_is_the_only_criterion():
    assert gfn2(fmax=0.01).criteria is None
    assert gfn2().criteria is None and gfn2().fmax_ev_ang == 0.03, "xTB targets keep the papers' criterion"
    assert Relaxation(engine="pyscf", method="PBE", basis="def2-SVP").criteria == NORMAL
    assert Relaxation(engine="pyscf", method="PBE", basis="def2-SVP", convergence="papers").criteria is None
    with pytest.raises(ValueError, match="leave it out beside convergence tight"):
        gfn2(fmax=0.01, convergence="tight")


def ends(optimizer):
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=3)
    return [
        relax_molecule(atoms.numbers, atoms.positions, 0, 1, gfn2(optimizer=optimizer, **how))
        for how in ({"convergence": "normal"}, {"convergence": "tight"}, {"fmax": 0.05})
    ]


@pytest.mark.parametrize("optimizer", ["bfgs", "bfgs-hessian", "two-level"])
def test_normal_ends_are_minima_and_every_row_says_how_near_it_is(in_engine_process, optimizer):
    normal, tight, early = in_engine_process(ends, optimizer)
    assert normal.status == tight.status == early.status == "ok"
    assert normal.meets == "default"
    assert normal.energy_left_kcal_mol < 0.02 and tight.energy_left_kcal_mol < 0.001
    height = (normal.energy_ev - tight.energy_ev) / KCAL_MOL
    assert height < 0.01 and normal.n_gradients <= tight.n_gradients
    missing = (early.energy_ev - tight.energy_ev) / KCAL_MOL
    assert early.energy_left_kcal_mol == pytest.approx(missing, rel=1.0, abs=0.01)
    if optimizer == "two-level":  # begins from so rough a start's minimum at the cheap level
        assert normal.start_meets is None and normal.start_energy_left_kcal_mol is None
        return
    assert normal.start_meets == "none"
    fall = (normal.start_energy_ev - tight.energy_ev) / KCAL_MOL
    assert 0.3 < normal.start_energy_left_kcal_mol / fall < 3


def left_of_early_ends():
    """kcal/mol that is left of pentan-1-ol at several stops of its path, and two estimates of it."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    mol = Chem.AddHs(Chem.MolFromSmiles("CCCCCO"))
    AllChem.EmbedMolecule(mol, randomSeed=2)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    start = mol.GetConformer().GetPositions()
    path = relax_molecule(numbers, start, 0, 1, gfn2(optimizer="geometric", fmax=0.001)).path
    found = []
    for limit in (0.1, 0.05, 0.03):
        seen = path[: [each.fmax_ev_ang < limit for each in path].index(True) + 1]
        truth = (seen[-1].energy_ev - path[-1].energy_ev) / KCAL_MOL
        surfaces = (CheapSurface("gfn1", numbers, 0, 1), None)
        left = [Foresight(numbers, surface).ahead(seen).fall_ev / KCAL_MOL for surface in surfaces]
        found.append((truth, *left))
    return found


def test_what_is_left_follows_from_the_gradients_so_far(in_engine_process):
    for truth, along_surface, by_model in in_engine_process(left_of_early_ends):
        assert truth / 2 < along_surface < 2 * truth or abs(along_surface - truth) < 0.01
        assert truth / 6 < by_model < 6 * truth or abs(by_model - truth) < 0.03


class Refusing(CheapSurface):
    """A level that cannot treat the molecule: an element beyond its parameters, say."""

    def __call__(self, x):
        raise EngineError("unsupported_element", "no parameters")


def test_without_any_hessian_of_a_level_the_model_tells():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.002, seed=3)
    forces = np.random.default_rng(0).normal(scale=0.01, size=atoms.positions.shape)
    told = [Evaluation(atoms.positions, -1.0, forces - forces.mean(axis=0))]
    refusing = Foresight(atoms.numbers, Refusing("gfn1", atoms.numbers, 0, 1)).ahead(told)
    by_model = Foresight(atoms.numbers, None).ahead(told)
    assert 0 < refusing.fall_ev < np.inf
    np.testing.assert_allclose(refusing.step, by_model.step)


def test_a_saddle_of_the_cheap_level_is_no_end_without_an_answer():
    """Planar at the target, pyramidal at the cheap level: the relaxation may end where its forces do."""
    atoms = molecule("NH3")
    atoms.positions[:, 2] = 0.0
    surface = CheapSurface("gfn1", atoms.numbers, 0, 1)
    forces = 1e-6 * atoms.positions
    told = [Evaluation(atoms.get_positions(), 0.0, forces)]
    ahead = Foresight(atoms.numbers, surface).ahead(told)
    assert ahead.fall_ev == pytest.approx(0.0, abs=1e-6)
    assert converged(NORMAL, -forces.ravel(), ahead)


def test_the_model_has_an_answer_out_of_a_plane():
    """Boron trifluoride has no torsion and its bends have no derivative there."""
    atoms = molecule("BF3")
    told = [Evaluation(atoms.get_positions(), 0.0, np.zeros((4, 3)))]
    assert Foresight(atoms.numbers, None).ahead(told).fall_ev == 0.0
    result = relax_molecule(atoms.numbers, atoms.positions, 0, 1, gfn2(convergence="normal"))
    assert result.status == "ok"


def stopped_early():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=3)
    stops = [{"convergence": "tight"}, {"convergence": "normal"}, {"fmax": 0.03}]
    return [
        relax_molecule(
            atoms.numbers, atoms.positions, 0, 1, gfn2(optimizer="geometric", max_steps=steps, **stop)
        ).message
        for steps, stop in zip((5, 1, 1), stops, strict=True)
    ]


def test_a_relaxation_that_stops_early_says_what_is_unmet_and_by_how_much(in_engine_process):
    tight, normal, fmax = in_engine_process(stopped_early)
    assert tight.startswith("not tight: ") and "when max_steps (5) was reached" in tight
    for message in (tight, normal):
        missed = re.findall(r"is (\S+) \S+ \(at most (\S+)\)", message)
        assert missed and all(float(value) > float(limit) > 0 for value, limit in missed)
    assert re.match(
        r"fmax is \S+ eV/Å \(asked: 0.03\) and \S+ kcal/mol are left to fall when max_steps", fmax
    )


def end_by_a_model_that_changes_its_mind():
    """Methanol by a foresight whose second answer about a geometry is never the first."""
    asked, expected = set(), Foresight.ahead

    def ahead(self, path):
        found = expected(self, path)
        again = path[-1].positions.tobytes() in asked
        asked.add(path[-1].positions.tobytes())
        return Ahead(found.step + 0.1, found.fall_ev) if again else found

    Foresight.ahead = ahead
    atoms = molecule("CH3OH")
    return relax_molecule(
        atoms.numbers, atoms.positions, 0, 1, gfn2(optimizer="geometric", convergence="normal")
    )


def test_a_geometry_is_judged_once(in_engine_process):
    """The cheap level's noise made a stop of another optimizer unconverged after all."""
    end = in_engine_process(end_by_a_model_that_changes_its_mind)
    assert (end.status, end.meets) == ("ok", "default")


def test_only_what_is_unmet_is_said():
    near = Ahead(np.full(9, 1e-3 * Bohr), 0.01 * KCAL_MOL)
    assert unmet(NORMAL, uniform(1e-4), near) == []
    (step,) = unmet(CRITERIA["tight"], uniform(2e-5), Ahead(np.full(9, 1.5e-4 * Bohr), 0.0))
    assert step == "that step's root mean square is 7.94e-05 Å (at most 6.35e-05)"
    assert "no minimum is expected near by" in unmet(NORMAL, uniform(1e-4), Ahead(np.zeros(9), np.inf))
    assert unmet(NORMAL, np.full(9, np.nan), near), "what is no number meets nothing"


def left_at_a_shallow_end():
    arrays = np.load(Path(__file__).with_name("shallow_end.npz"))
    told = zip(arrays["positions"], arrays["energies_ev"], arrays["forces"], strict=True)
    path = [Evaluation(x, float(energy), forces) for x, energy, forces in told]
    ahead = Foresight(arrays["numbers"], CheapSurface("gfn1", arrays["numbers"], 0, 1)).ahead(path)
    return ahead.energy_left_kcal_mol, np.abs(ahead.step).max()


def test_what_is_left_is_that_to_the_shallow_minimum_near_by(in_engine_process):
    """Chlorophenylacetic acid at B3LYP-D3BJ/def2-SVP, three gradients near its end (lowest mode 31 cm⁻¹).

    0.0001 kcal/mol are left. Another minimum lies 0.5 kcal/mol lower behind next to no barrier.
    """
    left, step = in_engine_process(left_at_a_shallow_end)
    assert left < 0.01 and step < 0.05
