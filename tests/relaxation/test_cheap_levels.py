"""First Hessians, the optimizers that use a cheap level, and the check that a minimum is one."""

import importlib.util
from itertools import pairwise

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolTransforms

from prerelax.engines import EngineError, Level
from prerelax.errors import UserError
from prerelax.molecules.superposition import superimposed
from prerelax.records.record import Record
from prerelax.records.shard import write_shard
from prerelax.relaxation.cheap_surface import CheapSurface, cheap_level
from prerelax.relaxation.first_hessian import finite_difference_hessian, first_hessian, model_hessian
from prerelax.relaxation.force_constants import kinds_and_derivatives, scaled_force_constants
from prerelax.relaxation.minimum import vibrations
from prerelax.relaxation.molecule import Relaxation, relax_molecule
from prerelax.relaxation.preconditioned import internal_space, largest_displacement, newton_step
from prerelax.relaxation.shard import relax_shard

GFN2 = Level(engine="tblite", method="GFN2-xTB")
DFT = Level(engine="pyscf", method="PBE", basis="def2-SVP")


def at(level, **settings):
    return Relaxation(**level.model_dump(), **settings)


def rattled(name, amplitude=0.05):
    atoms = molecule(name)
    atoms.rattle(amplitude, seed=3)
    return atoms


def relaxed(atoms, charge=0, multiplicity=1, **settings):
    relaxation = Relaxation(**GFN2.model_dump(), **{"optimizer": "bfgs", "cheap_level": "gfn1"} | settings)
    return relax_molecule(atoms.numbers, atoms.positions, charge, multiplicity, relaxation)


@pytest.mark.parametrize("optimizer", ["bfgs-hessian", "two-level"])
@pytest.mark.parametrize(
    ("name", "charge", "multiplicity"),
    [("CH3CH2OH", 0, 1), ("CO2", 0, 1), ("HCN", 0, 1), ("N2", 0, 1), ("CH3", 0, 2), ("H2O", 1, 2)],
)
def test_fewer_gradients_to_the_same_minimum(in_engine_process, optimizer, name, charge, multiplicity):
    plain = in_engine_process(run, name, charge, multiplicity, "bfgs", 0.05)
    ours = in_engine_process(run, name, charge, multiplicity, optimizer, 0.05)
    assert ours.status == "ok" and ours.fmax_ev_ang < 0.03
    assert ours.message in ("", "begun from its minimum at gfn1: the start was rough")
    assert ours.n_gradients < plain.n_gradients and ours.n_gradients == ours.n_steps + 1
    assert ours.n_gradients_cheap > 0
    assert ours.energy_ev == pytest.approx(plain.energy_ev, abs=2e-3)


def run(name, charge, multiplicity, optimizer, amplitude):
    return relaxed(rattled(name, amplitude), charge, multiplicity, optimizer=optimizer)


@pytest.mark.parametrize("optimizer", ["bfgs-hessian", "two-level"])
def test_tight_convergence(in_engine_process, optimizer):
    """Near the minimum the step is smaller than what a search on the cheap surface resolves."""
    result = in_engine_process(tightly, optimizer)
    assert result.status == "ok" and result.fmax_ev_ang < 3e-4 and result.n_gradients < 12


def tightly(optimizer):
    return relaxed(rattled("CH3OH"), optimizer=optimizer, fmax=3e-4)


@pytest.mark.parametrize("optimizer", ["bfgs-hessian", "two-level"])
def test_one_atom_and_fragments(in_engine_process, optimizer):
    result = in_engine_process(run, "H", 0, 2, optimizer, 0.0)
    assert (result.status, result.n_gradients, result.n_gradients_cheap) == ("ok", 1, 0)
    assert in_engine_process(two_waters, optimizer).status == "ok"


def two_waters(optimizer):
    other = molecule("H2O")
    other.translate([0, 0, 3.2])
    return relaxed(molecule("H2O") + other, optimizer=optimizer)


def test_far_starts_converge(in_engine_process):
    for name in ("CH3CHO", "H2CCO"):
        assert in_engine_process(run, name, 0, 1, "two-level", 0.15).n_gradients <= 12
        assert in_engine_process(run, name, 0, 1, "bfgs-hessian", 0.15).n_gradients <= 30


def embedding(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(mol, randomSeed=42)
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    return Atoms(numbers=numbers, positions=mol.GetConformer().GetPositions())


def from_embedding(smiles, **settings):
    return relaxed(embedding(smiles), optimizer="two-level", **settings)


def test_a_rough_start_is_relaxed_where_it_is_cheap(in_engine_process):
    """Before any gradient of the target; the start's own energy is then unknown, and nothing claims it."""
    rough = in_engine_process(from_embedding, "OCC(O)C(O)CO")
    assert rough.status == "ok" and "the start was rough" in rough.message
    assert rough.start_energy_ev is None and rough.start_meets is None
    assert rough.n_gradients <= 6 and rough.path[0].fmax_ev_ang < 2
    fine = in_engine_process(run, "CH3CH2OH", 0, 1, "two-level", 0.02)
    assert fine.start_energy_ev == fine.path[0].energy_ev and "rough" not in fine.message


def test_a_relaxation_does_not_turn_the_molecule(in_engine_process):
    """A grid's energy changes with the orientation, and a turn is no step towards the minimum."""
    path = in_engine_process(run, "CH3CH2OH", 0, 1, "two-level", 0.1).path
    for before, after in pairwise(path):
        turned = superimposed(after.positions, before.positions)
        assert np.abs(turned - after.positions).max() < 1e-3


def test_a_bend_that_becomes_straight_does_not_mislead(in_engine_process):
    """Disiloxane opens from 138° to 180° at GFN2-xTB: 18 gradients by the angle, geomeTRIC 10."""
    result = in_engine_process(disiloxane)
    assert result.status == "ok" and result.message == "" and result.n_gradients <= 7


def test_a_bend_that_is_straight_at_first_is_a_coordinate(in_engine_process):
    """Cyanoacetylene: 23 gradients at HF/STO-3G where its bends were none, geomeTRIC 6."""
    result = in_engine_process(cyanoacetylene)
    assert result.status == "ok" and result.message == "" and result.n_gradients <= 6


def cyanoacetylene():
    atoms = embedding("C#CC#N")
    relaxation = Relaxation(engine="pyscf", method="HF", basis="STO-3G", optimizer="two-level")
    return relax_molecule(atoms.numbers, atoms.positions, 0, 1, relaxation)


def test_a_straight_bend_that_folds_gets_its_angle_and_torsions(in_engine_process):
    """Methoxysilane from an angle of 177° at its oxygen: 12 gradients where it got none, geomeTRIC 20."""
    result = in_engine_process(methoxysilane)
    assert result.status == "ok" and result.message == "" and result.n_gradients <= 9


def methoxysilane():
    mol = Chem.AddHs(Chem.MolFromSmiles("CO[SiH3]"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=42)
    rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=2000)
    rdMolTransforms.SetAngleDeg(mol.GetConformer(), 0, 1, 2, 177.0)
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    atoms = Atoms(numbers=numbers, positions=mol.GetConformer().GetPositions())
    return relaxed(atoms, optimizer="two-level", convergence="normal")


def test_no_steps_are_a_single_point_of_the_start(in_engine_process):
    """A rough one too: it is not relaxed at the cheap level first."""
    point = in_engine_process(rough_point)
    assert point.n_gradients == 1 and point.start_energy_ev == point.energy_ev


def rough_point():
    return from_embedding("OCC(O)C(O)CO", max_steps=0)


def disiloxane():
    mol = Chem.AddHs(Chem.MolFromSmiles("[SiH3]O[SiH3]"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=42)
    rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=2000)
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    atoms = Atoms(numbers=numbers, positions=mol.GetConformer().GetPositions())
    return relaxed(atoms, optimizer="two-level", convergence="normal")


def failing_surface():
    atoms = molecule("CH3OH")

    class Failing(CheapSurface):
        def __call__(self, x):
            raise EngineError("scf_failed", "no convergence")

    surface = Failing("gfn1", atoms.numbers, 0, 1)
    return first_hessian(atoms.numbers, atoms.positions, surface)


def not_a_number():
    return finite_difference_hessian(lambda x: x * np.nan, np.zeros(6), central=False)


def test_what_stands_in_for_a_failed_hessian_is_said(in_engine_process):
    hessian = in_engine_process(failing_surface)
    assert hessian.source == "lindh" and "gfn1 failed (no convergence)" in hessian.note
    with pytest.raises(EngineError, match="not numbers"):
        not_a_number()


def test_two_level_goes_on_when_the_cheap_level_fails_on_the_way(in_engine_process):
    result = in_engine_process(fail_after, 30)
    assert result.status == "ok" and "went on without gfn1" in result.message


def fail_after(n_gradients):
    def failing(self, x, original=CheapSurface.__call__):
        if self.n_gradients > n_gradients:
            raise EngineError("scf_failed", "no convergence")
        return original(self, x)

    patch = pytest.MonkeyPatch()
    patch.setattr(CheapSurface, "__call__", failing)
    try:
        return relaxed(rattled("CH3CH2OH", 0.02), optimizer="two-level")
    finally:
        patch.undo()


def test_which_level_is_cheap():
    assert cheap_level("auto", DFT) == cheap_level("auto", GFN2) == "gfn1"
    assert cheap_level("auto", Level(engine="tblite", method="GFN1-xTB")) == "gfn2"
    assert at(GFN2, optimizer="bfgs-hessian").chosen_cheap_level == "lindh", "free; GFN1's costs a relaxation"
    assert at(GFN2, optimizer="two-level").chosen_cheap_level == "gfn1", "which needs a surface"
    assert at(GFN2, optimizer="bfgs-hessian", check_minimum="cheap").chosen_cheap_level == "gfn1"
    assert cheap_level("auto", Level(engine="mlff", method="some-model")) == "lindh"
    with pytest.raises(ValueError, match="did you mean gfn2"):
        cheap_level("gnf2", DFT)
    with pytest.raises(ValueError, match="uncounted"):
        cheap_level("gfn2", GFN2)
    with pytest.raises(ValueError, match="lindh"):
        cheap_level("gfn1", Level(engine="mlff", method="some-model"))


def test_settings_tell_optimizers_apart():
    plain = at(GFN2, optimizer="bfgs").settings()
    assert "hessian" not in plain and "check_minimum" not in plain
    settings = [
        at(DFT, optimizer=name, cheap_level=h).settings() for name in ("two-level",) for h in ("gfn1", "gfn2")
    ]
    assert [s["hessian"] for s in settings] == ["gfn1", "gfn2"]
    first = [at(level, optimizer="bfgs-hessian").settings() for level in (DFT, GFN2)]
    assert first[0]["force_constant_factors"]["stretch"] > 1
    assert first[1]["force_constant_factors"] == {}


@pytest.mark.parametrize("name", ["CO2", "C2H2", "CH3CH2OH", "C6H6"])
def test_the_model_hessian_knows_no_rigid_motion(name):
    atoms = molecule(name)
    hessian = model_hessian(atoms.numbers, atoms.positions)
    space = internal_space(atoms.positions)
    assert space.shape[1] == 3 * len(atoms) - (5 if name in ("CO2", "C2H2") else 6)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-10)
    rigid = np.eye(3 * len(atoms)) - space @ space.T
    # a rotation keeps stretches and bends to first order, torsions too
    assert np.abs(rigid @ hessian @ rigid).max() < 1e-8 * np.abs(hessian).max()
    assert np.linalg.eigvalsh(space.T @ hessian @ space).min() > 0.05


def test_uranium_has_a_model_hessian():
    hexafluoride = Atoms("UF6", [[0, 0, 0], *(2.0 * np.vstack([np.eye(3), -np.eye(3)]))])
    assert np.linalg.eigvalsh(model_hessian(hexafluoride.numbers, hexafluoride.positions)).max() > 1


def test_scaling_one_factor_for_all_scales_all():
    atoms = rattled("CH3CHO")
    hessian = model_hessian(atoms.numbers, atoms.positions)
    kinds, _ = kinds_and_derivatives(atoms.numbers, atoms.positions)
    assert set(kinds) == {"stretch", "stretch X-H", "bend", "bend X-H", "torsion"}
    unchanged = scaled_force_constants(hessian, atoms.numbers, atoms.positions, {})
    np.testing.assert_allclose(unchanged, hessian, atol=1e-10)
    doubled = scaled_force_constants(hessian, atoms.numbers, atoms.positions, dict.fromkeys(kinds, 2.0))
    np.testing.assert_allclose(doubled, 2 * hessian, atol=1e-6 * np.abs(hessian).max())


def test_a_long_step_shortens_soft_motions_first():
    atoms = molecule("CH3CH2OH")
    hessian = model_hessian(atoms.numbers, atoms.positions)
    gradient = np.random.default_rng(0).normal(size=27)
    free = newton_step(hessian, gradient, atoms.positions, 100.0)
    short = newton_step(hessian, gradient, atoms.positions, 0.1)
    assert largest_displacement(short) == pytest.approx(0.1, rel=1e-2)
    stiffest = np.linalg.eigh(hessian)[1][:, -1]
    assert abs(short @ stiffest) / abs(free @ stiffest) > 0.9
    assert np.linalg.norm(short) / np.linalg.norm(free) < 0.5


SADDLES = {
    "NH3": Atoms("NH3", [[0, 0, 0], *([np.cos(t), np.sin(t), 0] for t in np.deg2rad([0, 120, 240]))]),
    "HOOH": Atoms("HOOH", [[-0.9, 0.95, 0], [-0.73, 0, 0], [0.73, 0, 0], [0.9, 0.95, 0]]),
}


@pytest.mark.parametrize("name", SADDLES)
def test_a_saddle_point_is_found_and_left(in_engine_process, name):
    plain = in_engine_process(saddle, name, {})
    assert plain.converged and plain.n_imaginary is None and plain.n_gradients_check is None
    found = in_engine_process(saddle, name, {"check_minimum": "cheap"})
    assert found.n_imaginary == 1 and found.lowest_frequency_cm < -300 and "saddle" in found.message
    assert found.n_gradients == plain.n_gradients and found.n_gradients_check == 2
    exact = in_engine_process(saddle, name, {"check_minimum": "target"})
    assert exact.lowest_frequency_cm == pytest.approx(found.lowest_frequency_cm, rel=0.05)
    left = in_engine_process(saddle, name, {"check_minimum": "cheap", "kick": True})
    assert left.n_imaginary == 0 and left.energy_ev < plain.energy_ev - 0.1
    assert left.n_gradients == left.n_steps + 1 > plain.n_gradients


def saddle(name, options):
    return relaxed(SADDLES[name], **options)


def test_frequencies_of_water(in_engine_process):
    """GFN2-xTB's own minimum: 1539, 3643 and 3651 cm⁻¹ by tblite's authors' program xtb 6.7."""
    frequencies = in_engine_process(frequencies_of, "H2O")
    assert len(frequencies) == 3 and frequencies[0] == pytest.approx(1539, abs=5)
    assert len(in_engine_process(frequencies_of, "CO2")) == 4


def frequencies_of(name):
    atoms = molecule(name)
    atoms.positions = relaxed(atoms, fmax=0.001).positions
    surface = CheapSurface("gfn2", atoms.numbers, 0, 1)
    hessian = finite_difference_hessian(lambda x: surface(x)[1], atoms.positions.ravel(), central=True)
    return vibrations(hessian, atoms.numbers, atoms.positions)[0]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        pytest.param("sella", "sella", marks=pytest.mark.slow),
        ("geometric", "geometric"),
        ("pyberny", "berny"),
    ],
)
def test_other_packages_optimizers(in_engine_process, name, module):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed (extra optimizers)")
    for structure in ("CO2", "CH3OH") if name != "sella" else ("CO2",):
        result = in_engine_process(run, structure, 0, 1, name, 0.05)
        assert result.status == "ok" and result.fmax_ev_ang < 0.03
        assert result.n_gradients == result.n_steps + 1 < 15
        assert all(e.fmax_ev_ang >= 0.03 for e in result.path[:-1]), "it went on after convergence"
    assert in_engine_process(run, "H", 0, 2, name, 0.0).n_gradients == 1


def test_a_missing_package_is_one_sentence_before_the_shard(tmp_path, monkeypatch):
    atoms = molecule("H2O")
    write_shard(tmp_path / "in.extxyz", [Record(id="w", numbers=atoms.numbers, positions=atoms.positions)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'prerelax\[optimizers\]'"):
        relax_shard(tmp_path / "in.extxyz", tmp_path / "out.extxyz", at(GFN2, optimizer="sella"))
    with pytest.raises(ValueError, match="check_minimum"):
        at(GFN2, kick=True)


def test_without_a_surface_two_level_is_geometric(in_engine_process):
    (without, message), (geometric, nothing) = in_engine_process(forces_without_surface)
    assert without == geometric
    assert "geomeTRIC" in message and not nothing


def forces_without_surface():
    atoms = molecule("CH3CH2OH")
    settings = {"engine": "tblite", "method": "GFN2-xTB", "fmax": 0.03}
    results = [
        relax_molecule(atoms.numbers, atoms.positions, 0, 1, Relaxation(**settings, **by))
        for by in ({"optimizer": "two-level", "cheap_level": "lindh"}, {"optimizer": "geometric"})
    ]
    return [
        ([round(evaluation.fmax_ev_ang, 3) for evaluation in result.path], result.message)
        for result in results
    ]
