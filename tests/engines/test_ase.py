"""Any ASE calculator: how it is named and allowed, and that whatever it does ends in a status."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from odd_calculators import Morse

from prerelax.engines import (
    EngineError,
    Level,
    engine_named,
    is_cheap,
    level_settings,
    make_calculator,
    validate_level,
)
from prerelax.engines.ase.known import KNOWN, Means, electrons_of
from prerelax.engines.ase.process import _KEPT
from prerelax.engines.ase.server import Held
from prerelax.engines.honesty import check_honest
from prerelax.errors import MissingProgramError, UserError
from prerelax.settings import model_from

MORSE = {"engine": "ase", "method": "Morse", "calculator": "odd_calculators:Morse"}
TOLD = {"keywords": {"charge": "charge", "multiplicity": "mult"}}


def morse(behaviour="", **others):
    return Level(**MORSE | {"options": {"behaviour": behaviour}} | others)


@pytest.fixture(autouse=True)
def site(tmp_path, monkeypatch):
    """A site that allows the odd calculators and keeps its scratch files apart; returns its file."""
    path = tmp_path / "site.yaml"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path.write_text(f"allow_calculators: [odd_calculators]\nscratch: {scratch}\n")
    monkeypatch.setenv("PRERELAX_SITE", str(path))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    yield path
    for process in _KEPT.values():
        process.close()


def energy(level, atoms, charge=0, multiplicity=1):
    calculator = make_calculator(level, charge=charge, multiplicity=multiplicity)
    try:
        calculator.calculate(atoms)
        return calculator.results["energy"]
    finally:
        calculator.close()


def test_energy_and_forces_are_the_calculators_own_and_its_process_is_kept(site) -> None:
    atoms = molecule("CH3OH")
    atoms.calc = make_calculator(morse())
    before = atoms.get_potential_energy(), atoms.get_forces()
    theirs = Morse()
    theirs.calculate(atoms)
    assert before[0] == theirs.results["energy"]
    np.testing.assert_array_equal(before[1], theirs.results["forces"])
    process = next(each for each in _KEPT.values() if each.is_alive)
    atoms.calc.close()
    energy(morse(), molecule("H2O"))
    assert [each for each in _KEPT.values() if each.is_alive] == [process]
    assert list((site.parent / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    "electrons",
    [TOLD, {"info": {"charge": "charge", "multiplicity": "spin"}}, {"methods": {"charge": "set_charge"}}],
    ids=["keywords", "info", "methods"],
)
def test_charge_and_multiplicity_reach_the_calculator(electrons) -> None:
    level = morse(electrons=electrons)
    atoms = molecule("H2O")
    neutral = energy(level, atoms)
    assert energy(level, atoms, charge=2) == pytest.approx(neutral + 36.0)
    assert energy(level, atoms) == neutral
    if "methods" in electrons:
        with pytest.raises(EngineError, match="treats closed shells only"):
            energy(level, atoms, charge=1, multiplicity=2)
    else:
        assert energy(level, atoms, multiplicity=3) == pytest.approx(neutral + 4.0)


def test_a_calculator_that_is_told_nothing_treats_neutral_closed_shells_only() -> None:
    for charge, multiplicity, what in ((1, 2, "closed shells"), (2, 1, "neutral molecules")):
        with pytest.raises(EngineError, match=f"treats {what} only") as caught:
            energy(morse(), molecule("H2O"), charge, multiplicity)
        assert caught.value.status == "input_error"


@pytest.mark.parametrize(
    ("behaviour", "status", "words"),
    [
        ("nan", "scf_failed", "energy or forces that are not numbers"),
        ("flat", "unknown_error", r"its forces have the shape \(12,\), not \(4, 3\)"),
        ("raise", "scf_failed", "its SCF did not converge.*its files are in .*prerelax-failed"),
        ("die", "unknown_error", "died .SIGSEGV."),
        ("killed", "resource_error", "was killed from outside, most likely for its memory"),
        ("exit", "unknown_error", "SystemExit: 3"),
        ("link", "unknown_error", "Morse: KeyboardInterrupt; its files are in"),  # and nothing of the link
        ("scratch", "unknown_error", "no luck; its files are in"),
    ],
)
def test_whatever_it_does_is_a_status_and_the_next_molecule_is_treated(
    behaviour, status, words, site
) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        energy(morse(behaviour), molecule("NH3"))
    assert caught.value.status == status
    assert np.isfinite(energy(morse(behaviour), molecule("H2O")))
    left = sum(path.lstat().st_size for path in (site.parent / "scratch").rglob("*") if path.is_file())
    assert left < 1000
    if behaviour == "raise":
        assert "SCF NOT CONVERGED after 50 cycles" in caught.value.output


def test_what_it_prints_and_where_it_goes_disturbs_nobody(site) -> None:
    here = Path.cwd()
    atoms = molecule("NH3")
    plain = energy(morse(), atoms)
    for behaviour in ("print", "chdir", "litter"):
        assert [energy(morse(behaviour), atoms) for _ in range(2)] == [plain, plain]
    assert Path.cwd() == here
    assert list((site.parent / "scratch").iterdir()) == []  # a gigabyte of integrals is gone, too


def test_what_thousands_of_molecules_print_does_not_fill_the_disk() -> None:
    for _ in range(3):
        energy(morse("flood"), molecule("NH3"))
    (process,) = (each for each in _KEPT.values() if each.is_alive)
    assert os.fstat(process._stderr.fileno()).st_size < 2_100_000


def what_it_started_runs() -> bool:
    """Whether the program that a hanging calculator waits for is there."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # gone since it was listed
            if b"1000.125" in path.read_bytes():
                return True
    return False


def test_one_that_hangs_is_stopped_and_started_anew(site) -> None:
    site.write_text(site.read_text() + "gradient_limit_s: 1\n")
    began = time.monotonic()
    with pytest.raises(EngineError, match="gave no answer in 1 s and was stopped") as caught:
        energy(morse("hang"), molecule("NH3"))
    assert caught.value.status == "timeout"
    assert time.monotonic() - began < 300
    while what_it_started_runs() and time.monotonic() - began < 300:  # it was killed, but may take its time
        time.sleep(0.1)
    assert not what_it_started_runs()
    assert np.isfinite(energy(morse("hang"), molecule("H2O")))


def test_a_class_that_does_not_exist_is_a_sentence(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("another.log").write_text("error: no valid license\n")  # in the campaign's folder: not its output
    with pytest.raises(
        EngineError, match=r"AttributeError: module 'odd_calculators' has no attribute 'Nope'$"
    ):
        energy(Level(**MORSE | {"calculator": "odd_calculators:Nope"}), molecule("H2"))


def test_an_energy_may_be_an_array_of_one_number() -> None:
    def answer(n):
        setup = {
            "factory": "odd_calculators:Batched",
            "keywords": {"n": n},
            "electrons": None,
            "renewed": False,
        }
        line = {"numbers": [1, 1], "positions": [[0, 0, 0], [0, 0, 0.8]], "charge": 0, "multiplicity": 1}
        return Held(setup).gradient(line | {"molecule": "hydrogen"})

    assert isinstance(answer(1)["energy"], float)
    with pytest.raises(ValueError, match=r"its energy has the shape \(2,\), not that of one number"):
        answer(2)


def test_a_factory_that_gives_nothing_is_a_sentence() -> None:
    with pytest.raises(EngineError, match="odd_calculators:none gives NoneType, no calculator of ASE"):
        energy(Level(**MORSE | {"calculator": "odd_calculators:none"}), molecule("H2"))


def test_its_own_hessian_is_used_where_it_has_one() -> None:
    atoms = molecule("H2O")
    assert make_calculator(morse()).hessian(atoms) is None
    own = make_calculator(Level(**MORSE | {"calculator": "odd_calculators:WithHessian"})).hessian(atoms)
    np.testing.assert_array_equal(own, np.eye(9))


def test_a_program_of_cells_keeps_one_box_around_its_molecule() -> None:
    setup = {"factory": "odd_calculators:Morse", "keywords": {}, "renewed": False, "electrons": {}}
    held, atoms = Held(setup | {"boxed": True}), molecule("CH3OH")
    line = {"numbers": atoms.numbers.tolist(), "charge": 0, "multiplicity": 1, "molecule": "a"}
    first = held.atoms(line | {"positions": atoms.positions.tolist()})
    atoms.positions[0] += 0.3
    second = held.atoms(line | {"positions": atoms.positions.tolist()})
    np.testing.assert_array_equal(first.cell, second.cell)
    extent = np.ptp(first.positions, axis=0).max()
    assert first.cell[0, 0] == pytest.approx(2 * extent + 8.0) and not first.pbc.any()
    assert second.positions.min() > 4.0 and second.positions.max() < first.cell[0, 0] - 4.0
    assert not Held(setup).atoms(line | {"positions": atoms.positions.tolist()}).cell.any()


def test_code_of_the_users_own_runs_with_consent_only(site, monkeypatch) -> None:
    site.write_text("{}")
    words = r"write `allow_calculators: \[odd_calculators\]` into .*site.yaml; for one call, set PRERELAX_"
    validate_level(morse())  # reading a campaign runs none of it
    with pytest.raises(UserError, match=words):
        make_calculator(morse())
    with pytest.raises(UserError, match=words):
        engine_named("ase").check_consent(morse())
    weights = Level(engine="ase", calculator="mace", method="mine.model")
    with pytest.raises(UserError, match=r"loading mine.model may run code"):
        make_calculator(weights)
    monkeypatch.setenv("PRERELAX_ALLOW_CALCULATORS", "odd_calculators")
    make_calculator(morse())
    make_calculator(Level(**MORSE | {"calculator": "ase.calculators.mopac:MOPAC"}))  # known by its name


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"calculator": None}, "the engine ase needs a calculator: .*nwchem"),
        ({"calculator": "nwchen"}, "'nwchen' is no known calculator, nor module:class; did you mean nwchem"),
        ({"calculator": "os.system"}, "'os.system' is no known calculator"),
        ({"basis": "STO-3G"}, "takes no basis; leave out 'STO-3G'"),
        ({"elements": ["Xx"]}, "'Xx' is no element"),
        ({"options": {"command": "rm"}}, "command belongs in the site file"),
        ({"options": {"dft": {"grid": "fine\ntask shell"}}}, "has line breaks"),
        ({"options": {"library": "/home/me/basis"}}, "a path of one machine"),
        ({"calculator": "mace", "method": "mace-off-https://x.org/y"}, "is no name of a method"),
        ({"calculator": "mace", "method": "mace-off-../mine"}, "is no name of a method"),
        ({"calculator": "orb", "options": {"weights_path": "mine"}}, "weights_path belongs in the site file"),
        ({"calculator": "nwchem", "options": {"task shell": "rm"}}, "'task' would have nwchem run"),
        ({"calculator": "ase.calculators.nwchem:NWChem", "options": {"dft": {"x": "task shell"}}}, "'task'"),
        ({"calculator": None, "engine": "tblite", "options": {}}, "options is for the engine ase"),
        ({"calculator": "mygroup.Mine"}, "'mygroup.Mine' is no known .*; did you mean mygroup:Mine"),
        ({"calculator": "mygroup.py:Mine"}, "names a file, not a module; did you mean mygroup:Mine"),
        ({"engine": "NWChem", "calculator": None, "options": None}, "`engine: ase, calculator: nwchem`"),
        ({"solvent": "water"}, "say the solvent water in the calculator's options"),
    ],
)
def test_a_wrong_level_is_a_sentence(said, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        validate_level(model_from(Level, MORSE | said))


def test_settings_change_with_what_the_numbers_rest_on(site, tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    site.write_text("allow_calculators: [mine]\n")
    level = Level(engine="ase", method="mine", calculator="mine:Potential")
    with pytest.raises(MissingProgramError, match=r"the module mine .* is not found here"):
        level_settings(level)
    (tmp_path / "mine.py").write_text("a = 1\n")
    first = level_settings(level)
    (tmp_path / "mine.py").write_text("a = 2\n")
    assert level_settings(level)["module_sha256"] != first["module_sha256"]
    assert "ase" in first["versions"]
    json.dumps(first)


def test_a_class_of_another_interpreters_is_found_there(site, tmp_path, monkeypatch) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "theirs.py").write_text("from odd_calculators import Morse as Theirs\n")
    python = tmp_path / "python"
    here = Path(__file__).parent
    python.write_text(f'#!/bin/sh\nPYTHONPATH={packages}:{here} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("from theirs import Theirs as Mine\n")  # in the campaign's folder
    programs = f"programs: {{'theirs:Theirs': {{python: {python}}}, 'mine:Mine': {{python: {python}}}}}\n"
    site.write_text(f"allow_calculators: [theirs, mine]\nscratch: {tmp_path}\n{programs}")
    for name in ("theirs:Theirs", "mine:Mine"):
        level = Level(**MORSE | {"calculator": name})
        assert len(level_settings(level)["module_sha256"]) == 64
        assert np.isfinite(energy(level, molecule("H2")))


def test_weights_are_part_of_the_settings_wherever_they_are_named(site, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for each in ("mine.model", "mine.pt"):
        Path(each).write_bytes(b"1")
    levels = {
        "": Level(engine="ase", method="EMT", calculator="ase.calculators.emt:EMT", options={"w": "mine.pt"}),
        "programs: {'ase.calculators.emt:EMT': {options: {w: mine.model}}}": Level(
            engine="ase", method="EMT", calculator="ase.calculators.emt:EMT"
        ),
    }
    for said, level in levels.items():
        site.write_text(said)
        first = level_settings(level)
        for each in ("mine.model", "mine.pt"):
            Path(each).write_bytes(Path(each).read_bytes() + b"2")
        assert level_settings(level)["weights_sha256"] != first["weights_sha256"]
        assert level_settings(level) | {"weights_sha256": 0} == first | {"weights_sha256": 0}


def test_a_missing_program_says_where_to_name_it(site) -> None:
    site.write_text("programs: {nwchem: {command: no-such-nwchem}}\n")
    level = Level(engine="ase", method="B3LYP", basis="6-31G*", calculator="nwchem")
    validate_level(level)  # a campaign may be planned elsewhere
    with pytest.raises(MissingProgramError, match=r"the program no-such-nwchem .* say its command in .*site"):
        level_settings(level)


def test_a_wrong_site_file_is_a_sentence(site) -> None:
    site.write_text("allow_calculator: [mine]\n")
    with pytest.raises(
        UserError, match=r"site.yaml: unknown key allow_calculator; did you mean allow_calculators"
    ):
        make_calculator(morse())


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "nwchen: {command: nwchem}",
            "programs.nwchen: 'nwchen' is no known calculator, nor module:class; did you mean nwchem",
        ),
        ("pyscf: {command: x}", "programs.pyscf: .*; the engine pyscf takes nothing from this file"),
        ("ase.calculators.nwchem:NWChem: {}", "programs.ase.calculators.nwchem:NWChem is called nwchem here"),
        ("mine:Potential: {command: x}", "mine:Potential.command does nothing: .* under `options`"),
        ("mace: {command: x}", "programs.mace.command does nothing: it is a package of Python; .* `python`"),
        (
            "qchem: {command: x}",
            "programs.qchem.command does nothing: ASE finds it itself; put qchem on the PA",
        ),
        ("orca: {command: ''}", "programs.orca.command is empty"),
        ("orca: {command: 'orca \"x'}", "programs.orca.command cannot be read .No closing quotation."),
        ("orca: {python: /usr/bin/python3}", "programs.orca.python does nothing: prerelax runs orca itself"),
        ("xtb: {options: {x: 1}}", "programs.xtb.options: xtb has none"),
        ("nwchem: {comand: x}", "unknown key programs.nwchem.comand; did you mean command"),
    ],
)
def test_a_program_that_does_not_exist_or_a_key_for_nothing_is_a_sentence(site, said, sentence) -> None:
    site.write_text(f"allow_calculators: [odd_calculators]\nprograms:\n  {said}\n")
    with pytest.raises(UserError, match=sentence):
        engine_named("ase").check_consent(morse())


def test_what_this_machine_lacks_is_said_before_the_first_molecule(site, tmp_path, monkeypatch) -> None:
    level = Level(engine="ase", method="B3LYP", calculator="orca")
    (tmp_path / "orca").write_text("not executable")
    site.write_text(f"programs: {{orca: {{command: {tmp_path}/orca -x}}}}\n")
    with pytest.raises(UserError, match=r"orca, which .* names for orca, may not be executed; `chmod"):
        check_honest(level)
    site.write_text("scratch: /nowhere/at-all\nallow_calculators: [odd_calculators]\n")
    with pytest.raises(UserError, match="scratch: /nowhere/at-all is no folder on this machine; make it"):
        check_honest(morse())
    site.write_text("scratch: $NODE_DISK/x\nallow_calculators: [odd_calculators]\n")
    with pytest.raises(UserError, match="the environment variable NODE_DISK is not set"):
        check_honest(morse())
    site.write_text("programs: {mace: {python: /nowhere/python}}\n")
    mace = Level(engine="ase", method="mace-off-small", calculator="mace")
    with pytest.raises(UserError, match=r"/nowhere/python, which .* names, cannot be run: No such file"):
        check_honest(mace)


def test_known_calculators_say_what_they_are() -> None:
    levels = {name: Level(engine="ase", method="x", calculator=name) for name in KNOWN}
    cheap = {name for name, level in levels.items() if is_cheap(level)}
    assert cheap == {"mopac", "dftb", "mace", "aimnet2", "ani", "orb", "uma", "xtb"}
    for name, known in KNOWN.items():
        json.dumps(known.keywords(levels[name], Means()))
        assert known.electrons.told <= {"charge", "multiplicity"}
    told = {name: electrons_of(name, "x").told for name in ("mace", "orb", "aimnet2", "uma")}
    assert told["mace"] == told["orb"] == set() and told["aimnet2"] == {"charge"}
    assert told["uma"] == electrons_of("mace", "mace-omol").told == {"charge", "multiplicity"}
    assert str(Level(engine="ase", method="PBE", basis="x", calculator="nwchem")) == "PBE/x (nwchem)"


def test_its_process_ends_with_the_one_that_started_it(site) -> None:
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1]);"
        "from prerelax.engines import Level, make_calculator; from ase.build import molecule;"
        "from prerelax.engines.ase.process import _KEPT;"
        f"make_calculator(Level(**{morse().model_dump(exclude_none=True)!r})).calculate(molecule('H2'));"
        "print([p._process.pid for p in _KEPT.values()][0], flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)], capture_output=True, text=True
    )
    server = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(server, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the calculator outlives its caller")
