"""What a level may be and what no engine is asked to compute; no engine is imported here."""

import numpy as np
import pytest

from prerelax.engines import EngineError, Level, check_molecule, level_settings, validate_level

WATER = np.array([8, 1, 1])
GEOMETRY = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])


def test_sound_molecules_pass():
    check_molecule(WATER, GEOMETRY, 0, 1)
    check_molecule(WATER, GEOMETRY, 1, 2)
    check_molecule(np.array([1]), np.zeros((1, 3)), 1, 1)
    check_molecule(np.array([8]), np.zeros((1, 3)), 0, 3)


@pytest.mark.parametrize(
    ("numbers", "positions", "charge", "multiplicity", "words"),
    [
        ([], np.zeros((0, 3)), 0, 1, "no atoms"),
        ([0], np.zeros((1, 3)), 0, 1, "dummy"),
        ([8, 1, 1], GEOMETRY * np.array([[1], [np.nan], [1]]), 0, 1, "atom 2 are not finite"),
        ([8, 1, 1], GEOMETRY * 0.0, 0, 1, "0.000 Å apart"),
        ([8, 1, 1], GEOMETRY, 0, 2, "multiplicity 2 is impossible with 10 electrons"),
        ([8, 1, 1], GEOMETRY, 1, 1, "the lowest possible is 2"),
        ([8, 1, 1], GEOMETRY, 0, 0, "multiplicity 0"),
        ([1, 1], GEOMETRY[1:], 3, 1, "more electrons than there are"),
        ([6], np.zeros((1, 3)), 0, 9, "multiplicity 9"),
    ],
)
def test_impossible_molecules_are_input_errors(numbers, positions, charge, multiplicity, words):
    with pytest.raises(EngineError, match=words) as caught:
        check_molecule(np.array(numbers, dtype=int), positions, charge, multiplicity)
    assert caught.value.status == "input_error"


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (Level(engine="tblit", method="GFN2-xTB"), "did you mean tblite"),
        (Level(engine="mopac7", method="PM7"), "known are tblite, pyscf"),
        (Level(engine="orca", method="B3LYP"), "engine: ase, calculator: orca"),
        (Level(engine="tblite", method="GFN3-xTB"), "did you mean GFN"),
        (Level(engine="tblite", method="GFN2-xTB", basis="def2-SVP"), "leave out the basis"),
        (Level(engine="tblite", method="GFN2-xTB", dispersion="d4"), "contains its dispersion"),
        (Level(engine="pyscf", method="qm9", basis="def2-SVP"), "fixes functional"),
    ],
)
def test_wrong_levels_are_one_clear_sentence(level, words):
    with pytest.raises(ValueError, match=words):
        validate_level(level)


def test_settings_tell_levels_and_their_thresholds_apart():
    assert level_settings(Level(engine="pyscf", method="qm9"))["grid_level"] >= 2
    assert level_settings(Level(engine="tblite", method="GFN2-xTB")) != level_settings(
        Level(engine="tblite", method="GFN1-xTB")
    )
    assert level_settings(Level(engine="pyscf", method="qm9")) != level_settings(
        Level(engine="pyscf", method="qm9", density_fitting=False)
    )
