"""PySCF and the level qm9. Everything that imports PySCF runs in a process without torch."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.units import Bohr, Hartree

from prerelax.engines import EngineError, Level, level_settings, make_calculator, validate_level
from prerelax.engines.pyscf.settings import ScfSettings, scf_settings

QM9 = Level(engine="pyscf", method="qm9")
TIGHT = ScfSettings(grid_level=4, radial_grid_level=4, conv_tol_eh=1e-10, conv_tol_gradient=1e-6)


def evaluate(level, atoms, charge=0, multiplicity=1, settings=None):
    """Energy in Eh, forces in eV/Å, SCF cycles."""
    from prerelax.engines.pyscf.scf import PySCF

    calculator = PySCF(level, charge, multiplicity, 1, settings or ScfSettings())
    calculator.calculate(atoms)
    return calculator.results["energy"] / Hartree, calculator.results["forces"], calculator.cycles


def largest_force(forces):
    return np.linalg.norm(forces, axis=1).max()


@pytest.fixture(scope="session")
def qm9_molecules(data_folder):
    return ase.io.read(data_folder / "raw_formats" / "qm9_100.extxyz", index=":")


# CH4, NH3, H2O, C2H2 (in the data set itself less converged), HCN, CH2O
@pytest.mark.parametrize(("row", "fmax"), [(0, 0.01), (1, 0.01), (2, 0.01), (3, 0.025), (4, 0.01), (5, 0.01)])
def test_level_qm9_gives_the_data_sets_energies_at_its_minima(in_engine_process, qm9_molecules, row, fmax):
    atoms = qm9_molecules[row]
    reference = atoms.info["U0"] - atoms.info["zpve"]
    energy, forces, _ = in_engine_process(evaluate, QM9, Atoms(atoms.numbers, atoms.positions))
    assert energy == pytest.approx(reference, abs=2e-5)
    assert largest_force(forces) < fmax


# Methanol's published geometry has 0.021 eV/Å, the largest here; its energy is met all the same.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "within"),
    [(ScfSettings(), 3e-5), (scf_settings(Level(engine="pyscf", method="qm9", tight=True)), 2e-5)],
)
@pytest.mark.parametrize("row", [7, 8, 10, 12, 13, 17, 20])
def test_level_qm9_on_more_molecules(in_engine_process, qm9_molecules, row, settings, within):
    """With the grid that relaxations begin with, isobutane's energy is off by 2.2e-5 Eh."""
    atoms = qm9_molecules[row]
    plain = Atoms(atoms.numbers, atoms.positions)
    energy, forces, _ = in_engine_process(evaluate, QM9, plain, 0, 1, settings)
    assert energy == pytest.approx(atoms.info["U0"] - atoms.info["zpve"], abs=within)
    assert largest_force(forces) < 0.03


def test_the_built_in_basis_of_that_name_is_another_one(in_engine_process, qm9_molecules):
    atoms = qm9_molecules[5]
    plain = Atoms(atoms.numbers, atoms.positions)
    level = Level(engine="pyscf", method="b3lypg", basis="6-31G(2df,p)")
    energy, forces, _ = in_engine_process(evaluate, level, plain)
    assert abs(energy - (atoms.info["U0"] - atoms.info["zpve"])) > 5e-4
    assert largest_force(forces) > 0.02


@pytest.mark.slow
def test_level_qm9_with_fluorine(in_engine_process, data_folder):
    """No molecule with F comes with a zero-point energy here, so the forces at its QM9 minimum have to do.

    With 6-311G's exponents (3.5, 0.875) the force on F is 0.10 eV/Å.
    """
    with np.load(data_folder / "qm9_val.npz") as table:
        ends = np.cumsum(table["n_atoms"])
        begins = ends - table["n_atoms"]
        with_f = [i for i in range(len(ends)) if 9 in table["numbers"][begins[i] : ends[i]]]
        smallest = min(with_f, key=lambda i: table["n_atoms"][i])
        rows = slice(begins[smallest], ends[smallest])
        atoms = Atoms(table["numbers"][rows], table["positions"][rows].astype(float))
    _, forces, _ = in_engine_process(evaluate, QM9, atoms)
    assert largest_force(forces[atoms.numbers == 9]) < 0.01
    assert largest_force(forces) < 0.025


def shells_of_the_level():
    from pyscf import gto

    from prerelax.engines.pyscf.qm9_level import basis, mixed_transformation

    exponents = {symbol: [s[1][0] for s in basis(symbol) if s[0] == 2] for symbol in "HCNOF"}
    mol = gto.M(atom="H 0 0 0; F 0 0 0.92", basis={s: basis(s) for s in "HF"}, cart=True)
    return exponents, mixed_transformation(mol).shape


def test_level_qm9_has_six_d_and_seven_f_functions(in_engine_process):
    exponents, shape = in_engine_process(shells_of_the_level)
    assert exponents == {"H": [], "C": [1.6, 0.4], "N": [1.6, 0.4], "O": [1.6, 0.4], "F": [1.6, 0.4]}
    # H: 2 s, 1 p; F: 3 s, 2 p, 2 d, 1 f
    assert shape == (2 + 3 + 3 + 6 + 12 + 10, 2 + 3 + 3 + 6 + 12 + 7)


def analytic_and_numerical(level, atoms, charge, multiplicity, components):
    """Analytic and numerical forces in a.u. of some (atom, axis) components."""
    from prerelax.engines.pyscf.scf import PySCF

    calculator = PySCF(level, charge, multiplicity, 1, TIGHT)
    calculator.calculate(atoms)
    analytic = [calculator.results["forces"][c] * Bohr / Hartree for c in components]
    numerical = []
    for atom, axis in components:
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * 1e-3 * Bohr
            calculator.calculate(moved)
            ends.append(calculator.results["energy"] / Hartree)
        numerical.append((ends[1] - ends[0]) / 2e-3)
    return np.array(analytic), np.array(numerical)


@pytest.mark.parametrize(
    ("level", "name", "charge", "multiplicity"),
    [
        (QM9, "H2O", 0, 1),
        pytest.param(QM9, "NH2", 0, 2, marks=pytest.mark.slow),
        pytest.param(
            Level(engine="pyscf", method="PBE", basis="def2-SVP", dispersion="d4"),
            "H2O",
            0,
            1,
            marks=pytest.mark.slow,
        ),
        (Level(engine="pyscf", method="hf", basis="def2-SVP", dispersion="d3bj"), "CH3", 0, 2),
        (Level(engine="pyscf", method="PBE0", basis="def2-SVP"), "H2O", 1, 2),
        pytest.param(
            Level(engine="pyscf", method="B3LYP", basis="6-31G*", dispersion="d3bj", density_fitting=False),
            *("H2O", 0, 1),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_forces_are_the_energys_derivative(in_engine_process, level, name, charge, multiplicity):
    atoms = molecule(name)
    atoms.rattle(0.05, seed=1)
    components = [(1, 2)]
    analytic, numerical = in_engine_process(
        analytic_and_numerical, level, atoms, charge, multiplicity, components
    )
    np.testing.assert_allclose(analytic, numerical, atol=1e-5)


def plain_pyscf(atoms, charge, spin):
    from pyscf import dft, gto

    mol = gto.M(
        atom=list(zip(atoms.get_chemical_symbols(), atoms.positions / Bohr, strict=True)),
        unit="Bohr", basis="def2-svp", charge=charge, spin=spin, verbose=0,
    )  # fmt: skip
    return float(dft.UKS(mol, xc="pbe0").run(conv_tol=1e-10).e_tot)


@pytest.mark.parametrize(("name", "charge", "multiplicity"), [("CH3", 0, 2), ("O2", 0, 3), ("OH", -1, 1)])
def test_charged_and_open_shell_molecules(in_engine_process, name, charge, multiplicity):
    atoms = molecule(name)
    level = Level(engine="pyscf", method="PBE0", basis="def2-SVP", density_fitting=False)
    energy, _, _ = in_engine_process(evaluate, level, atoms, charge, multiplicity)
    assert energy == pytest.approx(in_engine_process(plain_pyscf, atoms, charge, multiplicity - 1), abs=2e-5)


def test_a_single_atom_has_no_force(in_engine_process):
    energy, forces, _ = in_engine_process(evaluate, QM9, Atoms("H"), 0, 2)
    assert energy == pytest.approx(-0.5003, abs=1e-3)
    assert largest_force(forces) < 1e-4


def guessed_and_fresh():
    from prerelax.engines.pyscf.scf import PySCF

    atoms = molecule("H2O")
    calculator = PySCF(QM9, 0, 1, 1, ScfSettings())
    calculator.calculate(atoms)
    for seed in (0, 1):
        atoms.rattle(0.01, seed=seed)
        calculator.calculate(atoms)
    fresh = PySCF(QM9, 0, 1, 1, ScfSettings())
    fresh.calculate(atoms)
    return [
        (c.results["energy"] / Hartree, c.results["forces"] * Bohr / Hartree, c.cycles)
        for c in (calculator, fresh)
    ]


def test_earlier_geometries_save_cycles_and_change_nothing(in_engine_process):
    (energy, forces, cycles), (fresh_energy, fresh_forces, fresh_cycles) = in_engine_process(
        guessed_and_fresh
    )
    assert energy == pytest.approx(fresh_energy, abs=1e-7)
    np.testing.assert_allclose(forces, fresh_forces, atol=1e-5)
    assert cycles < fresh_cycles


@pytest.mark.parametrize(
    ("max_cycles", "level"), [(4, QM9), (4, Level(engine="pyscf", method="PBE0", basis="def2-SVP"))]
)
def test_an_scf_that_diis_leaves_is_rescued(in_engine_process, max_cycles, level):
    settings = ScfSettings(max_cycles=max_cycles)
    energy, forces, cycles = in_engine_process(evaluate, level, molecule("H2O"), 0, 1, settings)
    normal = in_engine_process(evaluate, level, molecule("H2O"))
    assert cycles > max_cycles
    assert energy == pytest.approx(normal[0], abs=1e-6)
    np.testing.assert_allclose(forces, normal[1], atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "distance", "multiplicity"),
    [("CN", 2.4, 2), ("FeO", 1.62, 5)],  # a stretched radical, and one that DIIS needs 47 cycles for
)
def test_hard_molecules_end_in_one_state_by_any_way(in_engine_process, name, distance, multiplicity):
    atoms = Atoms(name, [[0, 0, 0], [0, 0, distance]])
    level = Level(engine="pyscf", method="PBE0", basis="def2-SVP")
    normal = in_engine_process(evaluate, level, atoms, 0, multiplicity)
    rescued = in_engine_process(evaluate, level, atoms, 0, multiplicity, ScfSettings(max_cycles=10))
    assert rescued[2] > 10
    assert rescued[0] == pytest.approx(normal[0], abs=1e-5)


def test_a_hopeless_scf_is_scf_failed(in_engine_process):
    stretched = Atoms("COH3", [[0, 0, 0], [0, 0, 2.9], [1.0, 0, -0.3], [-0.5, 0.9, -0.3], [-0.5, -0.9, -0.3]])
    with pytest.raises(EngineError, match="did not converge") as caught:
        in_engine_process(
            evaluate,
            Level(engine="pyscf", method="B3LYP", basis="STO-3G"),
            stretched,
            0,
            2,
            ScfSettings(max_cycles=2),
        )
    assert caught.value.status == "scf_failed"


def in_little_memory():
    """A molecule of 1240 functions where 300 MB are left to the process."""
    import resource

    from prerelax.engines.memory import available_mb
    from prerelax.engines.pyscf.scf import PySCF

    chain = Atoms("C40", [[1.5 * i, 0, 0] for i in range(40)])
    calculator = PySCF(Level(engine="pyscf", method="PBE", basis="def2-TZVPP"), 0, 1, 1, ScfSettings())
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 300_000_000, limits[1]))
    try:
        free = available_mb()
        calculator.calculate(chain)
    except EngineError as error:
        return free, error.status, error.message
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the process' size is read from /proc")
def test_a_molecule_too_large_for_memory_is_resource_error(in_engine_process):
    free, status, message = in_engine_process(in_little_memory)
    assert 200 < free < 300.01  # to rounding
    assert status == "resource_error"
    assert "GB of memory" in message


def test_a_tight_level_has_settings_of_its_own():
    normal, tight = (
        level_settings(Level(engine="pyscf", method="qm9", tight=tight)) for tight in (False, True)
    )
    assert tight["radial_grid_level"] > normal["radial_grid_level"]
    assert tight["conv_tol_gradient"] < normal["conv_tol_gradient"]


@pytest.mark.parametrize(
    ("level", "atoms", "missing"),
    [
        (QM9, Atoms("SiH4", np.vstack([[0, 0, 0], molecule("CH4").positions[1:] * 1.35])), "Si"),
        (Level(engine="pyscf", method="PBE", basis="6-31G*"), Atoms("HI", [[0, 0, 0], [0, 0, 1.61]]), "I"),
        (Level(engine="pyscf", method="PBE", basis="def2-SVP"), Atoms("U"), "U"),
    ],
)
def test_elements_without_functions_are_unsupported(in_engine_process, level, atoms, missing):
    with pytest.raises(EngineError, match=f"no parameters for {missing}$") as caught:
        in_engine_process(evaluate, level, atoms)
    assert caught.value.status == "unsupported_element"


def electrons_treated(atoms):
    calculator = make_calculator(Level(engine="pyscf", method="PBE", basis="def2-SVP"))
    return calculator._molecule(atoms).nelectron


def test_heavy_atoms_get_the_core_potential_of_their_basis(in_engine_process):
    assert in_engine_process(electrons_treated, Atoms("HI", [[0, 0, 0], [0, 0, 1.61]])) == 26


def dispersion_alone(atoms):
    from pyscf import gto
    from pyscf.dispersion import dftd4

    mol = gto.M(atom=list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)), basis="sto-3g")
    return float(dftd4.DFTD4Dispersion(mol, xc="b3lyp", atm=True).get_dispersion()["energy"])


def test_d4_adds_the_dispersion_of_b3lyp_to_its_vwn3_variant(in_engine_process):
    atoms = molecule("CH4")
    without, _, _ = in_engine_process(evaluate, Level(engine="pyscf", method="B3LYPG", basis="6-31G*"), atoms)
    with_d4, _, _ = in_engine_process(
        evaluate, Level(engine="pyscf", method="B3LYPG", basis="6-31G*", dispersion="d4"), atoms
    )
    assert with_d4 - without == pytest.approx(in_engine_process(dispersion_alone, atoms), abs=1e-7)


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (
            Level(engine="pyscf", method="b3lip", basis="def2-SVP"),
            "no functional 'b3lip'; did you mean B3LYP",
        ),
        (Level(engine="pyscf", method="", basis="def2-SVP"), "no functional"),
        (Level(engine="pyscf", method="GFN2-xTB"), "tblite"),
        (Level(engine="pyscf", method="PBE0"), "needs a basis"),
        (Level(engine="pyscf", method="PBE0", basis="def2-TZVPX"), "did you mean def2-TZVP"),
        (Level(engine="pyscf", method="PBE0", basis="6-31G(foo)"), "no basis"),
        (Level(engine="pyscf", method="PBE0", basis="def2-SVP", dispersion="d5"), "unknown dispersion"),
        (
            Level(engine="pyscf", method="M06-2X", basis="def2-SVP", dispersion="d4"),
            "no d4 parameters for M06-2X",
        ),
        (
            Level(engine="pyscf", method="wb97x-d3bj", basis="def2-SVP", dispersion="d3bj"),
            "names its dispersion already",
        ),
        (
            Level(engine="pyscf", method="wB97X", basis="def2-SVP", dispersion="d3bj"),
            "write method: wB97X-D3BJ without dispersion",
        ),
        (
            Level(engine="pyscf", method="wB97X", basis="def2-SVP", dispersion="d4"),
            "not that of other programs",
        ),
    ],
)
def test_wrong_levels_are_one_clear_sentence(in_engine_process, level, words):
    with pytest.raises(ValueError, match=words):
        in_engine_process(validate_level, level)


@pytest.mark.parametrize(
    "level",
    [
        QM9,
        Level(engine="pyscf", method="r2SCAN", basis="def2-TZVP", dispersion="d4"),
        Level(engine="pyscf", method="HF", basis="STO-3G"),
        Level(engine="pyscf", method="b3lypg", basis="6-31G(2df,p)", dispersion="d3bj"),
    ],
)
def test_good_levels_pass(in_engine_process, level):
    in_engine_process(validate_level, level)


def fast_and_plain(functional):
    """Energies and forces (a.u.) of the calculator and of PySCF alone on the same grid."""
    from prerelax.engines.pyscf.scf import PySCF

    calculator = PySCF(Level(engine="pyscf", method=functional, basis="def2-SVP"), 0, 1, 1, TIGHT)
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=1)
    calculator.calculate(atoms)
    plain = calculator._mean_field(calculator._molecule(atoms)).run()
    theirs = plain.e_tot, -plain.nuc_grad_method().kernel()
    return (calculator.results["energy"] / Hartree, calculator.results["forces"] * Bohr / Hartree), theirs


@pytest.mark.slow
@pytest.mark.parametrize("functional", ["CAM-B3LYP", "wB97M-V", "r2SCAN", "HF"])
def test_every_kind_of_functional_is_pyscfs(in_engine_process, functional):
    ours, theirs = in_engine_process(fast_and_plain, functional)
    assert ours[0] == pytest.approx(theirs[0], abs=1e-7)
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-5)
