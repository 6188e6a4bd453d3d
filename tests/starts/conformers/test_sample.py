"""`prerelax sample` for real: GFN2-xTB in worker processes, a shipped denoiser."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.data import atomic_numbers

from prerelax.denoisers.checkpoint import load_model
from prerelax.errors import UserError
from prerelax.molecules.molecule import read_molecules
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.journal import journal_path
from prerelax.settings import model_from
from prerelax.starts.conformers.sample_shard import GFN2, START, Xtb, sample_shard, sampled
from prerelax.starts.embed import embedded
from prerelax.starts.forcefield import minimised
from prerelax.starts.options import SearchPlan
from prerelax.studies.boltzmann.config import RepeatedStep
from prerelax.studies.boltzmann.repeated_step_shard import repeat_step_shard

MODEL = "relaxer-qm9-small"
SHORT = SearchPlan(cycles=5, minimised=4)


def records(tmp_path: Path, *smiles: str) -> list[Record]:
    """One MMFF94 minimum each; ids are the SMILES."""
    file = tmp_path / "molecules.smi"
    file.write_text("".join(f"{text} {text}\n" for text in smiles))
    embeddings = [next(embedded(molecule)) for molecule in read_molecules(file)]
    return [minimised(record, "mmff94", None, "mmff94") for record in embeddings]


def shard(tmp_path: Path, *smiles: str) -> Path:
    path = tmp_path / "in.extxyz"
    write_shard(path, records(tmp_path, *smiles))
    return path


@pytest.fixture(scope="module")
def xtb():
    with Xtb() as xtb:
        yield xtb


def test_conformers_of_a_glycol(tmp_path: Path) -> None:
    inp, out = shard(tmp_path, "OCCO"), tmp_path / "out.extxyz"
    plan = SearchPlan(cycles=12, minimised=6, seed=1)
    assert sample_shard(inp, out, model=MODEL, plan=plan) == {"ok": 1}
    rows = read_shard(out)
    assert [row.conformer for row in rows] == list(range(len(rows)))
    assert {row.start for row in rows} == {START} and all(row.converged for row in rows)
    energies = np.array([row.energy_ev for row in rows])
    assert len(rows) >= 2 and (np.diff(energies) >= 0).all()
    lowest = rows[0].positions
    # O 0 and 3 carry hydrogens 4 and 9; one of them points at the other oxygen.
    contacts = [np.linalg.norm(lowest[a] - lowest[b]) for a, b in ((4, 3), (9, 0))]
    assert rows[0].numbers[[0, 3, 4, 9]].tolist() == [8, 8, 1, 1]
    assert any(1.8 < contact < 2.5 for contact in contacts)
    assert (energies[-1] - energies[0]) / (units.kcal / units.mol) < 15


def test_a_seed_gives_the_same_conformers_and_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    inp = shard(tmp_path, "CCO", "OCCO")
    first, second = tmp_path / "a.extxyz", tmp_path / "b.extxyz"
    sample_shard(inp, first, model=MODEL, plan=SHORT)
    # The second run is one that was killed after its first molecule.
    lines = journal_path(first).read_text().splitlines(keepends=True)
    entries = [line for line in lines if "key" in json.loads(line)]
    assert len(entries) == 2
    journal_path(second).write_text(entries[0])
    walls = []
    sample_shard(inp, second, model=MODEL, plan=SHORT, report=lambda outcome: walls.append(outcome.wall_s))
    before, after = read_shard(first), read_shard(second)
    assert [row.energy_ev for row in before] == [row.energy_ev for row in after]
    assert all((a.positions == b.positions).all() for a, b in zip(before, after, strict=True))
    assert walls[0] == json.loads(entries[0])["result"]["wall_s"]
    assert walls[1] != json.loads(entries[1])["result"]["wall_s"]
    other = tmp_path / "c.extxyz"
    sample_shard(inp, other, model=MODEL, plan=SHORT.model_copy(update={"seed": 7}))
    assert [row.energy_ev for row in read_shard(other)] != [row.energy_ev for row in before]


def test_a_time_limit_is_used_in_rounds(tmp_path: Path, xtb: Xtb) -> None:
    (record,) = records(tmp_path, "CCO")
    ticks = iter(np.arange(0.0, 1000.0, 0.25))
    plan = SearchPlan(cycles=1000, minimised=1000, seconds=10.0)
    found = sampled(record, load_model(MODEL), plan, xtb, clock=lambda: float(next(ticks)))
    assert 10 < found.wall_s < 12
    assert found.counts["minimised"] >= len(found.conformers) == 3  # anti, and gauche twice
    assert 4 < found.counts["moves"] < 160


@pytest.mark.parametrize(
    ("smiles", "status", "words"),
    [
        ("[NH3+]CC", "fallback", "charge +1"),
        ("FCCO", "fallback", "was not trained on F"),
        ("[H][H]", "fallback", "MMFF94 has no parameters"),
        ("[He]", "fallback", "He"),
        ("C[Si](C)(C)O", "fallback", "was not trained on Si"),
    ],
)
def test_what_the_denoiser_does_not_know_is_searched_without_it(
    tmp_path: Path, xtb: Xtb, smiles: str, status: str, words: str
) -> None:
    (record,) = records(tmp_path, smiles)
    if not record.proceeds:  # without MMFF94 parameters
        record = replace(record, status="ok", message="")
    found = sampled(record, load_model(MODEL), SearchPlan(cycles=2, minimised=2), xtb)
    assert (found.status, len(found.conformers) >= 1) == (status, True), found.message
    assert words in found.message


@pytest.mark.slow
def test_200_atoms(tmp_path: Path) -> None:
    (record,) = records(tmp_path, "C" * 66)
    assert len(record.numbers) == 200
    with Xtb(relaxation=GFN2.model_copy(update={"max_steps": 1})) as xtb:
        found = sampled(record, load_model(MODEL), SearchPlan(cycles=0, minimised=1, steps=(20,)), xtb)
    assert found.status == "fallback" and "200 atoms" in found.message
    assert found.rows("")[0].status == "fallback" and found.rows("")[0].converged is False


def test_rows_that_are_no_molecule(tmp_path: Path, xtb: Xtb) -> None:
    (record,) = records(tmp_path, "CCO")
    torn = record.positions.copy()
    torn[0] += 5.0
    other = replace(record, smiles="[CH3:1][CH3:2]")
    failed = replace(record, status="embed_failed", message="no geometry")
    unknown = replace(record, numbers=np.full(9, atomic_numbers["Og"]), smiles="")
    wanted = {
        "connectivity_changed": replace(record, positions=torn),
        "input_error": other,
        "embed_failed": failed,
    }
    for status, row in wanted.items():
        found = sampled(row, load_model(MODEL), SHORT, xtb)
        assert (found.status, found.conformers) == (status, [])
        assert found.message and found.rows("")[0].status == status
    assert sampled(unknown, load_model(MODEL), SHORT, xtb).status == "input_error"


def test_calls_that_make_no_search(tmp_path: Path) -> None:
    for numbers in ({"steps": (30, 20)}, {"cycles": -1}, {"minimised": 0}, {"seconds": 0.0}):
        with pytest.raises(UserError):
            model_from(SearchPlan, numbers)
    inp = shard(tmp_path, "CCO")
    with pytest.raises(UserError, match="is no EDM"):
        sample_shard(inp, tmp_path / "out.extxyz", model="morered-jt-qm9-small", plan=SHORT)


def test_the_verb_tells_what_it_found(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prerelax", "sample", shard(tmp_path, "CO"), tmp_path / "out.extxyz"]
    command += ["--settings", '{"cycles": 1, "minimised": 1, "steps": [20, 60]}']
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.stdout == "1 ok\n"
    assert "CO ok: 1 conformer, the lowest at" in done.stderr
    assert read_shard(tmp_path / "out.extxyz")[0].converged


def test_chains_of_molecules_that_no_denoiser_knows(tmp_path: Path) -> None:
    smiles = ("CCO", "[NH3+]CC", "FCCO", "[H][H]", "[He]")
    rows = [replace(record, status="ok", message="") for record in records(tmp_path, *smiles)]
    inp, out, frames = (tmp_path / f"{name}.extxyz" for name in ("in", "out", "frames"))
    write_shard(inp, rows)
    settings = RepeatedStep(model="edm-qm9-small", step=20, repeats=40, burn_in=0, every=20)
    repeat_step_shard(inp, out, frames, settings)
    written = {row.id: row for row in read_shard(out)}
    assert written["CCO"].status == "ok"
    assert "charge +1" in written["[NH3+]CC"].message
    assert written["FCCO"].status == "unsupported_element"
    assert written["[H][H]"].status in ("ok", "connectivity_changed")
    assert written["[He]"].status != "ok"
