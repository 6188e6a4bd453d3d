"""ASE calculators in a shard: as target, as start, as guide, and when they fail."""

from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

from prerelax.engines import Level
from prerelax.engines.honesty import DishonestError
from prerelax.records.record import Record
from prerelax.records.settings import LEVEL, level_name
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard

XTB = {
    "engine": "ase",
    "calculator": "tblite.ase:TBLite",
    "electrons": {"keywords": {"charge": "charge", "multiplicity": "multiplicity"}},
}
MORSE = {"engine": "ase", "method": "Morse", "calculator": "odd_calculators:Morse"}


def xtb(method, **others):
    return XTB | {"method": method, "options": {"method": method, "verbosity": 0}} | others


@pytest.fixture(autouse=True)
def site(tmp_path, monkeypatch):
    path = tmp_path / "site.yaml"
    path.write_text(f"allow_calculators: [odd_calculators, tblite.ase]\nscratch: {tmp_path}\n")
    monkeypatch.setenv("PRERELAX_SITE", str(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    engines = str(Path(__file__).parents[1] / "engines")
    monkeypatch.syspath_prepend(engines)
    return path


def shard(tmp_path, *names):
    rows = []
    for name in names:
        atoms = molecule(name)
        atoms.rattle(0.05, seed=1)
        rows.append(Record(name, atoms.numbers, atoms.positions))
    write_shard(tmp_path / "in.extxyz", rows)
    return tmp_path / "in.extxyz"


def relaxed(tmp_path, said, *names, named=None, out="out"):
    path = tmp_path / f"{out}.extxyz"
    relax_shard(shard(tmp_path, *names), path, Relaxation(**said), named=named or Named(target="t"))
    return read_shard(path)


def test_a_target_behind_the_pipe_is_the_engine_itself(tmp_path) -> None:
    how = {"optimizer": "bfgs", "fmax": 0.03, "cheap_level": "gfn1", "check_minimum": "none"}
    direct = relaxed(tmp_path, {"engine": "tblite", "method": "GFN2-xTB", **how}, "H2O", out="direct")
    piped = relaxed(tmp_path, xtb("GFN2-xTB", **how), "H2O", out="piped")
    assert [row.status for row in piped] == ["ok"]
    assert piped[0].n_gradients == direct[0].n_gradients
    assert piped[0].energy_ev == pytest.approx(direct[0].energy_ev, abs=1e-7)
    assert piped[0].start_energy_ev == pytest.approx(direct[0].start_energy_ev, abs=1e-7)


def test_a_guide_behind_the_pipe_is_the_guide_itself(tmp_path) -> None:
    target = {"engine": "tblite", "method": "GFN2-xTB", "optimizer": "two-level", "fmax": 0.01}
    own = relaxed(tmp_path, target | {"cheap_level": "gfn1"}, "CH3OH", out="own")[0]
    guided = relaxed(tmp_path, target | {"cheap_level": xtb("GFN1-xTB")}, "CH3OH", out="guided")[0]
    assert guided.status == "ok" and guided.n_gradients == own.n_gradients
    np.testing.assert_allclose(guided.positions, own.positions, atol=1e-3)
    assert guided.n_gradients_cheap == own.n_gradients_cheap
    assert not list(tmp_path.glob("prerelax-*"))  # the molecule's scratch folders are gone


def test_a_start_is_relaxed_by_a_calculator(tmp_path) -> None:
    made = relaxed(tmp_path, xtb("GFN2-xTB", optimizer="bfgs", fmax=0.05), "H2O", named=Named(start="mine"))
    assert made[0].status == "ok" and made[0].start == "mine" and made[0].n_gradients_cheap > 0


def test_failures_are_rows_and_the_programs_last_words_are_in_the_log(tmp_path, capsys) -> None:
    said = MORSE | {"optimizer": "bfgs", "fmax": 0.05, "max_steps": 3, "options": {"behaviour": "raise"}}
    rows = relaxed(tmp_path, said | {"cheap_level": "lindh"}, "H2", "NH3")
    assert [row.status for row in rows] == ["ok", "scf_failed"]
    assert "its files are in" in rows[1].message
    assert "SCF NOT CONVERGED after 50 cycles" in capsys.readouterr().out


@pytest.mark.slow
def test_one_that_hangs_ends_at_the_molecules_limit(tmp_path) -> None:
    said = MORSE | {"optimizer": "bfgs", "fmax": 0.05, "options": {"behaviour": "hang later"}, "timeout_s": 3}
    rows = relaxed(tmp_path, said | {"cheap_level": "lindh"}, "NH3")
    assert rows[0].status == "timeout"


def test_one_that_lies_stops_the_shard_before_the_first_molecule(tmp_path) -> None:
    said = MORSE | {"options": {"force_scale": -1.0}, "cheap_level": "lindh"}
    with pytest.raises(DishonestError, match="of the opposite sign"):
        relaxed(tmp_path, said, "H2")
    assert not (tmp_path / "out.extxyz").exists()
    target = {"engine": "tblite", "method": "GFN2-xTB", "optimizer": "two-level", "cheap_level": said}
    target["cheap_level"] = {key: value for key, value in said.items() if key != "cheap_level"}
    with pytest.raises(DishonestError):
        relaxed(tmp_path, target, "H2")


def test_a_guide_that_is_the_target_is_refused() -> None:
    same = Relaxation(**xtb("GFN2-xTB"), cheap_level=Level(**xtb("GFN2-xTB")))
    with pytest.raises(ValueError, match="is the target itself"):
        _ = same.chosen_cheap_level
    assert Relaxation(**xtb("GFN2-xTB"), cheap_level=Level(**xtb("GFN1-xTB"))).settings()["hessian"]


def test_levels_of_two_programs_have_two_names() -> None:
    """Their energies are never compared."""
    names = {
        level_name({"engine": "ase", "method": "B3LYP", "basis": "6-31G*", "calculator": program})
        for program in ("nwchem", "orca")
    }
    assert names == {"B3LYP/6-31G* (nwchem)", "B3LYP/6-31G* (orca)"}
    assert {"calculator", "options"} <= set(LEVEL)
