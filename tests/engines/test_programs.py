"""ORCA, Gaussian, NWChem and xtb: what they are asked, what is read, and every way in which they fail."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import CalculationFailed
from ase.units import Bohr, Hartree
from odd_calculators import Morse

from prerelax.engines import EngineError, Level, level_settings, make_calculator, validate_level
from prerelax.engines.ase.gaussian import gaussian_forces, gaussian_template
from prerelax.engines.ase.known import KNOWN, Means
from prerelax.engines.ase.orca import Orca, orca_template
from prerelax.engines.ase.process import _KEPT
from prerelax.engines.ase.xtb import turbomole_gradient
from prerelax.molecules.input_files import read_rows
from prerelax.settings import model_from

HERE = Path(__file__).parent
LEVELS = {
    "orca": Level(engine="ase", calculator="orca", method="B3LYP", basis="def2-SVP", dispersion="d3bj"),
    "gaussian": Level(engine="ase", calculator="gaussian", method="B3LYP", basis="6-31G(2df,p)"),
    "nwchem": Level(engine="ase", calculator="nwchem", method="B3LYP", basis="6-31G*"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A site whose programs are stand-ins; the calculators' processes live as long as it."""
    folder = tmp_path_factory.mktemp("site")
    stand_in = f"{sys.executable} {HERE / 'stand_in.py'}"
    lines = [f"  {name}: {{command: '{stand_in} {name} {folder / 'mode'}'}}" for name in LEVELS]
    (folder / "site.yaml").write_text("\n".join([f"scratch: {folder}", "programs:", *lines]))
    yield folder
    for process in _KEPT.values():
        process.close()


@pytest.fixture(autouse=True)
def mode(place, monkeypatch):
    """The file that says how the stand-ins end."""
    monkeypatch.setenv("PRERELAX_SITE", str(place / "site.yaml"))
    (place / "mode").write_text("")
    return place / "mode"


@pytest.mark.parametrize("program", ["orca", "gaussian"])
def test_energy_and_forces_are_the_programs_at_the_geometry_and_state_asked_for(program) -> None:
    validate_level(LEVELS[program])
    calculator = make_calculator(LEVELS[program], charge=1, multiplicity=2, threads=4)
    atoms, theirs = molecule("CH3OH"), Morse(1, 2)
    for seed in (1, 2):
        atoms.rattle(0.02, seed=seed)
        calculator.calculate(atoms)
        theirs.calculate(atoms)
        assert calculator.results["energy"] == pytest.approx(theirs.results["energy"], abs=1e-6)
        np.testing.assert_allclose(calculator.results["forces"], theirs.results["forces"], atol=1e-6)
    asked = calculator._folder / ("molecule.inp" if program == "orca" else "molecule.gjf")
    assert ("nprocs 4" if program == "orca" else "%nprocshared=4\n") in asked.read_text()
    assert program == "orca" or "Guess=Read" in asked.read_text()
    (row,) = read_rows(asked)  # the front door reads what is written here
    assert (row.charge, row.multiplicity, row.n_atoms) == ("1", "2", "6")
    calculator.close()


@pytest.mark.parametrize(
    ("program", "how", "status", "words"),
    [
        ("orca", "scf", "scf_failed", "its SCF did not converge"),
        ("orca", "unconverged", "scf_failed", "its SCF did not converge"),
        ("orca", "killed", "resource_error", "killed from outside, most likely for its memory"),
        ("orca", "licence", "unknown_error", "it found no valid licence"),
        ("orca", "memory", "resource_error", "it ran out of memory"),
        ("orca", "cut", "unknown_error", "cut short"),
        ("orca", "silent", "unknown_error", "molecule.engrad is missing"),
        ("orca", "unfinished", "unknown_error", "cut short, without ORCA TERMINATED NORMALLY"),
        ("orca", "elsewhere", "unknown_error", "is of another geometry"),
        ("gaussian", "scf", "scf_failed", "its SCF did not converge"),
        ("gaussian", "killed", "resource_error", "killed from outside, most likely for its memory"),
        ("gaussian", "licence", "unknown_error", "it found no valid licence"),
        ("gaussian", "memory", "resource_error", "it ran out of memory"),
        ("gaussian", "cut", "unknown_error", "cut short, without Normal termination"),
        ("gaussian", "silent", "unknown_error", "cut short"),
        ("nwchem", "scf", "scf_failed", "its SCF did not converge"),
        ("nwchem", "killed", "resource_error", "killed from outside, most likely for its memory"),
        ("nwchem", "cut", "unknown_error", "its output cannot be read .AttributeError: .*: it is cut short"),
        ("nwchem", "silent", "unknown_error", "its output cannot be read .*: it is cut short, or of"),
        ("gaussian", "fewer", "unknown_error", "forces on 2 atoms, not on 3"),
    ],
)
def test_every_way_to_fail_is_a_status(mode, program, how, status, words) -> None:
    mode.write_text(how)
    with pytest.raises(EngineError, match=words) as caught:
        make_calculator(LEVELS[program]).calculate(molecule("H2O"))
    assert caught.value.status == status


def test_a_missing_program_is_a_sentence(tmp_path, monkeypatch) -> None:
    (tmp_path / "site.yaml").write_text("programs: {orca: {command: /nowhere/orca}}\n")
    monkeypatch.setenv("PRERELAX_SITE", str(tmp_path / "site.yaml"))
    with pytest.raises(ValueError, match="the program /nowhere/orca of the calculator orca is not installed"):
        level_settings(LEVELS["orca"])
    with pytest.raises(EngineError, match="cannot be found on this machine"):
        make_calculator(LEVELS["orca"]).calculate(molecule("H2O"))


def test_forces_of_a_real_log_of_gaussian() -> None:
    """From the test data of cclib (data/Gaussian/basicGaussian16/dvb_gopt.out), cut to what is read."""
    text = (HERE / "outputs/gaussian16_dvb.log").read_text()
    energy, gradient = gaussian_forces(text, 20)
    assert energy == -382.308266602 and gradient.shape == (20, 3)
    np.testing.assert_allclose(gradient[0], [0.000020958, 0.0, 0.000043839], atol=1e-9)
    assert np.abs(gradient.sum(axis=0)).max() < 1e-8


def test_what_a_log_of_gaussian_says_of_its_last_scf() -> None:
    """A semi-empirical energy with an exponent; an SCF that `SCF=XQC` brought to convergence after all."""
    text = (HERE / "outputs/gaussian16_dvb.log").read_text()
    line = [line for line in text.splitlines() if "SCF Done" in line][-1]
    small = text.replace(line, " SCF Done:  E(RAM1) = -0.118195100906E-01 A.U. after   12 cycles")
    assert gaussian_forces(small, 20)[0] == -0.0118195100906
    failed = " >>>>>>>>>> Convergence criterion not met.\n"
    rescued = text.replace(
        line, f"{failed}{line.replace('382.3', '381.9')}\n Quadratic Convergence\n{line}", 1
    )
    assert gaussian_forces(rescued, 20)[0] == -382.308266602
    for unconverged in (text.replace(line, failed + line, 1), text.replace(line, line + "\n" + failed, 1)):
        with pytest.raises(CalculationFailed, match="did not converge"):
            gaussian_forces(unconverged, 20)


def test_real_files_of_orca(tmp_path, monkeypatch) -> None:
    """An output of ORCA 6.0 from the test data of cclib (dvb_gopt.out, cut), a .engrad quoted in cctbx."""
    numbers, places = [8, 8, 8, 8, 16], np.loadtxt(HERE / "outputs/orca_sulfate.engrad", skiprows=27)[:, 1:]
    monkeypatch.chdir(tmp_path)
    output = (HERE / "outputs/orca6_dvb.out").read_text()
    Path("molecule.out").write_text(output)
    shutil.copy(HERE / "outputs/orca_sulfate.engrad", "molecule.engrad")
    energy, gradient = Orca(["orca"], "HF").read(Atoms(numbers, places * Bohr))
    assert energy == -49.737578240166
    np.testing.assert_array_equal(gradient[4], [-0.001712473496, -0.001739754355, -0.000359837122])
    assert np.abs(gradient.sum(axis=0)).max() < 1e-6
    with pytest.raises(CalculationFailed, match="is of another geometry"):
        Orca(["orca"], "HF").read(Atoms(numbers, places))
    Path("molecule.out").write_text(output[:-150])
    with pytest.raises(CalculationFailed, match="cut short"):
        Orca(["orca"], "HF").read(Atoms(numbers, places * Bohr))


def test_what_the_programs_are_asked() -> None:
    known = KNOWN["orca"].keywords(LEVELS["orca"], Means(4, 8000))
    assert orca_template(known["words"], {"scf": "MaxIter 300"}, 4, 8000).splitlines()[:4] == [
        "! B3LYP/G D3BJ def2-SVP TightSCF ENGRAD",
        "%maxcore 1500",
        "%pal nprocs 4 end",
        "%scf MaxIter 300 end",
    ]
    known = KNOWN["gaussian"].keywords(LEVELS["gaussian"], Means(4, 8000))
    template = gaussian_template(known["route"], 4, 8000)
    assert "#p B3LYP/6-31G(2df,p) 5D 7F Force NoSymm" in template and "%mem=8000MB" in template


@pytest.mark.parametrize(
    ("calculator", "said", "sentence"),
    [
        ("orca", {"options": {"words": "ExtOpt"}}, "'extopt' would have orca run or read something else"),
        ("orca", {"options": {"blocks": {"method": 'ProgExt "rm"'}}}, "'progext' would have orca run"),
        ("orca", {"options": {"words": "HF %compound"}}, "would have orca run"),
        ("orca", {"method": "B3LYP\n%maxcore"}, "is no name of a method"),
        ("gaussian", {"options": {"route": "External='rm'"}}, "'external' would have gaussian run"),
        ("gaussian", {"dispersion": "d4"}, "say the dispersion d4 in the calculator's options"),
        ("orca", {"options": {"word": "CPCM"}}, "orca has no 'word', .* without a word; did you mean words"),
        ("gaussian", {"options": {"words": "SCRF"}}, "gaussian has no 'words', .*; known are route"),
        ("mopac", {"options": {"eps": 78.4}}, "mopac has no 'eps', .*; known are relscf"),
        ("nwchem", {}, "the calculator nwchem needs a basis"),
        ("psi4", {}, "the calculator psi4 needs a basis"),
        ("gaussian", {"method": "B3LYP"}, "the calculator gaussian needs a basis"),
        ("xtb", {"method": "GFN-3"}, "xtb has no method 'GFN-3'"),
        ("xtb", {"method": "GFN-FF", "options": {"input": "x"}}, "the calculator xtb has no options"),
    ],
)
def test_a_config_cannot_have_a_program_run_another_one(calculator, said, sentence) -> None:
    level = model_from(Level, {"engine": "ase", "calculator": calculator, "method": "HF"} | said)
    with pytest.raises(ValueError, match=sentence):
        validate_level(level)


@pytest.mark.parametrize("method", ["PM6", "AM1", "B3LYP/6-31G*"])
def test_methods_that_have_their_basis_need_none(method) -> None:
    validate_level(model_from(Level, {"engine": "ase", "calculator": "gaussian", "method": method}))


def test_a_gradient_file_of_turbomoles_kind(tmp_path) -> None:
    atoms = molecule("H2O")
    lines = ["$grad", "  cycle =      1    SCF energy =    -5.07     |dE/dxyz| =  0.1"]
    lines += [f"  {x[0]:.12f} {x[1]:.12f} {x[2]:.12f} H" for x in atoms.positions / 0.529177210544]
    lines += ["  1.0D-02  0.0  0.0", "  0.0  2.0D-02  0.0", "  0.0  0.0  -3.0D-02", "$end"]
    path = tmp_path / "gradient"
    path.write_text("\n".join(lines))
    energy, gradient = turbomole_gradient(path, atoms)
    assert energy == -5.07
    np.testing.assert_array_equal(gradient, np.diag([0.01, 0.02, -0.03]))
    for cut in (lines[:-1], lines[:-2], lines[:3], []):
        path.write_text("\n".join(cut))
        with pytest.raises(Exception, match="not whole"):
            turbomole_gradient(path, atoms)


@pytest.mark.skipif(shutil.which("xtb") is None, reason="the program xtb is not installed")
def test_xtb_gives_gfn2s_numbers_and_gfn_ffs_hessian(in_engine_process) -> None:
    atoms = molecule("CH3OH")
    atoms.rattle(0.05, seed=0)
    program = make_calculator(Level(engine="ase", calculator="xtb", method="GFN2-xTB"))
    program.calculate(atoms)
    library = in_engine_process(tblite_energy, atoms)
    assert program.results["energy"] == pytest.approx(library, abs=1e-3)
    force_field = make_calculator(Level(engine="ase", calculator="xtb", method="GFN-FF"))
    own = force_field.hessian(atoms := molecule("CH3OH"))
    columns = []
    for i in range(atoms.positions.size):
        shifted = [atoms.copy(), atoms.copy()]
        for each, step in zip(shifted, (0.005, -0.005), strict=True):
            each.positions.flat[i] += step
            force_field.calculate(each)
            columns.append(-force_field.results["forces"].ravel())
    differences = (np.array(columns[::2]) - np.array(columns[1::2])) / 0.01
    np.testing.assert_allclose(own, differences, atol=1.0)  # of 55 eV/Å²; xtb projects rigid motions out
    with pytest.raises(EngineError, match="treats closed shells only"):
        make_calculator(Level(engine="ase", calculator="xtb", method="GFN-FF"), multiplicity=3).calculate(
            atoms
        )


def tblite_energy(atoms):
    calculator = make_calculator(Level(engine="tblite", method="GFN2-xTB"))
    calculator.calculate(atoms)
    return calculator.results["energy"]


@pytest.mark.skipif(shutil.which("mopac") is None, reason="the program mopac is not installed")
def test_mopac_gives_energy_and_forces_of_ions_and_radicals() -> None:
    level = Level(engine="ase", calculator="mopac", method="PM7")
    energies = []
    for charge, multiplicity in ((0, 1), (1, 2), (0, 3)):
        calculator = make_calculator(level, charge=charge, multiplicity=multiplicity)
        calculator.calculate(molecule("H2O"))
        energies.append(calculator.results["energy"])
        calculator.close()
    assert energies[0] == pytest.approx(-2.5, abs=0.3)  # a heat of formation, in eV
    assert 11 < energies[1] - energies[0] < 14 and energies[2] - energies[0] > 4
    with pytest.raises(EngineError, match=r'its output says "UNRECOGNIZED KEY-WORDS: \(PM9\)"'):
        make_calculator(level.model_copy(update={"method": "PM9"})).calculate(molecule("H2O"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cp2k.psmp") is None, reason="the program cp2k is not installed")
def test_cp2k_gives_energy_and_forces_of_isolated_molecules() -> None:
    options = {"cutoff": 2700.0, "pseudo_potential": "GTH-PBE"}  # eV
    level = Level(engine="ase", calculator="cp2k", method="PBE", options=options)
    found = []
    calculator = make_calculator(level)
    for distance in (0.74, 0.75, 0.76):
        calculator.calculate(Atoms("H2", [[0, 0, 0], [0, 0, distance]]))
        found.append((calculator.results["energy"], calculator.results["forces"][1, 2]))
    calculator.close()
    assert found[1][0] / Hartree == pytest.approx(-1.166, abs=0.01)  # PBE at the basis set's limit
    assert found[1][1] == pytest.approx(-(found[2][0] - found[0][0]) / 0.02, abs=0.1)  # a coarse grid
    cation = make_calculator(level, charge=1, multiplicity=2)
    cation.calculate(Atoms("H2", [[0, 0, 0], [0, 0, 0.75]]))
    assert 14 < cation.results["energy"] - found[1][0] < 18


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nwchem") is None, reason="the program nwchem is not installed")
@pytest.mark.parametrize(("name", "charge", "multiplicity"), [("H2O", 0, 1), ("CH3", 0, 2), ("NH3", 1, 2)])
def test_nwchem_gives_pyscfs_energy(in_engine_process, monkeypatch, name, charge, multiplicity) -> None:
    monkeypatch.delenv("PRERELAX_SITE")  # there it is a stand-in
    level = Level(engine="ase", calculator="nwchem", method="B3LYP", basis="6-31G*")
    calculator = make_calculator(level, charge=charge, multiplicity=multiplicity)
    calculator.calculate(molecule(name))
    found = calculator.results
    calculator.close()
    energy, forces = in_engine_process(pyscf_numbers, name, charge, multiplicity)
    assert found["energy"] == pytest.approx(energy, abs=1e-4 * Hartree)
    np.testing.assert_allclose(found["forces"], forces, atol=0.02)


def pyscf_numbers(name, charge, multiplicity):
    level = Level(engine="pyscf", method="B3LYP", basis="6-31G*", density_fitting=False)
    calculator = make_calculator(level, charge=charge, multiplicity=multiplicity)
    calculator.calculate(molecule(name))
    return calculator.results["energy"], calculator.results["forces"]
