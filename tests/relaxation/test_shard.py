"""A shard at a target: rows in are rows out, kills lose nothing, and one molecule's crash stays its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import molecule

from prerelax.engines import ENGINES, Level
from prerelax.errors import UserError
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.journal import Journal, ShardLockedError, journal_path
from prerelax.relaxation.settings import Only, Relaxation, Resources
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.settings import model_from

GFN2 = Level(engine="tblite", method="GFN2-xTB")
GFN2_ROWS = Named(target="gfn2")
SLOW = Relaxation(engine="odd", method="slow", optimizer="bfgs", fmax=0.03)
ODD_ROWS = Named(target="odd")
RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from prerelax.engines import ENGINES
from prerelax.relaxation.settings import Relaxation, Resources
from prerelax.relaxation.shard import Named, relax_shard
ENGINES["odd"] = "odd_engines:OddEngine"
relaxation = Relaxation(engine="odd", method=sys.argv[4], optimizer="bfgs", fmax=0.03)
shards = (Path(path) for path in sys.argv[2:4])
relax_shard(*shards, relaxation, named=Named(target="odd"), resources=Resources(workers=2))
"""


@pytest.fixture(autouse=True)
def odd_engine(monkeypatch):
    monkeypatch.setitem(ENGINES, "odd", "odd_engines:OddEngine")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def record(name, seed=0, **changes):
    atoms = molecule(name)
    atoms.rattle(0.05, seed=seed)
    fields = {"id": name, "numbers": atoms.numbers, "positions": atoms.positions, "start": "mmff94"}
    return Record(**(fields | changes))


def relaxed(tmp_path, records, level=GFN2, named=GFN2_ROWS, workers=2, trajectory=None, **settings):
    write_shard(tmp_path / "in.extxyz", records)
    asked = {"optimizer": "bfgs", "fmax": 0.03} | settings
    relaxation = model_from(Relaxation, level.model_dump() | asked)
    summary = relax_shard(
        tmp_path / "in.extxyz",
        tmp_path / "out.extxyz",
        relaxation,
        named=named,
        resources=model_from(Resources, {"workers": workers}),
        trajectory=trajectory,
    )
    return read_shard(tmp_path / "out.extxyz"), summary


def test_rows_keep_their_order_and_get_their_numbers(tmp_path):
    smiles = "[O:1]([H:2])[H:3]"
    records = [record("H2O", smiles=smiles), record("CH3CH2OH"), record("CH4", n_gradients_cheap=7)]
    rows, summary = relaxed(tmp_path, records)
    assert [row.id for row in rows] == ["H2O", "CH3CH2OH", "CH4"]
    assert summary.statuses == {"ok": 3} and (summary.n_computed, summary.n_resumed) == (3, 0)
    for before, row in zip(records, rows, strict=True):
        assert row.target == "gfn2" and row.start == "mmff94" and row.converged
        assert row.n_gradients == row.n_steps + 1
        assert row.energy_ev < row.start_energy_ev and row.fmax_ev_ang < 0.03
        assert row.wall_s > 0 and row.stages_s == {"gfn2": row.wall_s}
        np.testing.assert_allclose(row.start_positions, before.positions, atol=1e-8)
        assert row.rmsd_ang > 0
        assert '"engine": "tblite"' in row.settings
    assert [row.connectivity_unchanged for row in rows] == [True, None, None]
    assert rows[0].rmsd_symmetry_ang <= rows[0].rmsd_ang + 1e-9
    assert rows[2].n_gradients_cheap == 7


def test_every_bad_row_gets_a_status_and_the_others_finish(tmp_path):
    nan = record("H2O", id="nan")
    nan.positions[1, 0] = np.nan
    spot = record("H2O", id="spot", positions=np.zeros((3, 3)))
    failed = Record(id="000123", status="embed_failed", message="RDKit found no geometry", start="mmff94")
    uranium = record("CH4", id="U", numbers=np.array([92, 1, 1, 1, 1]))
    records = [
        nan, spot, failed, uranium, record("CH3", multiplicity=2),
        record("H2O", id="cation", charge=1, multiplicity=2), record("H2O", id="parity", multiplicity=2),
        record("H", multiplicity=2), record("CH3CH2OH"),
        record("CH4", status="not_converged", message="MMFF94 stopped at 200 iterations"),
    ]  # fmt: skip
    rows, _ = relaxed(tmp_path, records, only=Only(max_atoms=5))
    assert [row.id for row in rows] == [record.id for record in records]
    assert [row.status for row in rows] == [
        "input_error", "input_error", "embed_failed", "unsupported_element", "ok", "ok",
        "input_error", "ok", "skipped", "ok",
    ]  # fmt: skip
    assert (rows[7].n_gradients, rows[7].n_steps) == (1, 0)
    assert "atom 2" in rows[0].message and "apart" in rows[1].message and "U" in rows[3].message
    assert replace(rows[2], target=None).scalars() == failed.scalars()
    assert rows[8].message == "9 atoms, the target takes at most 5" and rows[8].n_gradients is None
    assert rows[9].message == ""


@pytest.mark.parametrize(
    "change",
    [
        {"status": "splendid"},
        {"positions": [[0, 0, 0]]},
        {"energy_ev": "low"},
        {"of_a_later_version": 1},
        {"wall_s": None},
    ],
)
def test_a_result_in_the_journal_that_does_not_fit_is_computed_again(tmp_path, change):
    rows, _ = relaxed(tmp_path, [record("H2O")])
    journal = tmp_path / "out.extxyz.journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        line.pop("crc", None)
        line.get("result", {}).update(change)
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again, summary = relaxed(tmp_path, [record("H2O")])
    assert summary.n_computed == 1
    assert again[0].energy_ev == pytest.approx(rows[0].energy_ev, abs=1e-6)


def test_only_by_heavy_atoms_and_elements():
    ethanol = record("CH3CH2OH")
    assert Only().objection(ethanol.numbers) is None
    assert "3 heavy atoms" in Only(max_heavy_atoms=2).objection(ethanol.numbers)
    assert Only(elements=("H", "C")).objection(ethanol.numbers) == "the target does not take O"
    assert Only(max_heavy_atoms=3, elements=("H", "C", "O")).objection(ethanol.numbers) is None


def test_a_start_counts_its_gradients_as_cheap(tmp_path):
    others_bonds = "[O:1].[H:2][H:3]"
    records = [record("CH4", n_gradients_cheap=4), record("CH3CH2OH"), record("H2O", smiles=others_bonds)]
    rows, _ = relaxed(tmp_path, records, named=Named(start="gfn2"), max_steps=3)
    assert [row.start for row in rows] == ["gfn2"] * 3
    assert [row.status for row in rows[:2]] == ["not_converged", "not_converged"]
    assert rows[0].n_gradients_cheap == 4 + 4 and rows[1].n_gradients_cheap == 4
    assert all(row.n_gradients is None and row.target is None and row.energy_ev is None for row in rows)
    assert rows[0].proceeds and rows[0].stages_s.keys() == {"gfn2"}
    assert rows[2].status == "connectivity_changed"


def test_a_start_that_is_a_targets_end_owes_its_gradients(tmp_path):
    (first,), _ = relaxed(tmp_path, [record("H2O")], check_minimum="target")
    spent = first.n_gradients + first.n_gradients_check
    assert first.n_gradients_check and first.gradients_of_levels == {}
    (then,), _ = relaxed(tmp_path, [first], Level(engine="tblite", method="GFN1-xTB"), Named(target="gfn1"))
    assert then.gradients_of_levels == {"GFN2-xTB (tblite)": spent}
    assert then.target == "gfn1" and then.start_settings == first.settings
    assert (then.n_gradients_check, then.n_imaginary) == (None, None)
    start = then.after_start("mmff94", 0.1, positions=then.positions, settings="{}")
    assert start.gradients_of_levels == {"GFN2-xTB (tblite)": spent, "GFN1-xTB (tblite)": then.n_gradients}
    assert (start.target, start.converged, start.energy_ev, start.n_gradients) == (None,) * 4
    assert start.start_positions is None and start.settings == "{}"
    assert start.as_start() is start


def test_a_trajectory_holds_every_gradient(tmp_path):
    trajectory = tmp_path / "path.extxyz"
    records = [record("H2O", id="T"), record("CH4", id="007")]
    relaxed(tmp_path, records)
    rows, summary = relaxed(tmp_path, records, trajectory=trajectory)
    assert summary.n_computed == 2  # the first run kept no path
    rows, summary = relaxed(tmp_path, records, trajectory=trajectory)
    assert summary.n_computed == 0
    frames = ase.io.read(trajectory, index=":")
    assert [f.info["id"] for f in frames] == ["T"] * rows[0].n_gradients + ["007"] * rows[1].n_gradients
    last = frames[-1]
    assert last.get_potential_energy() == pytest.approx(rows[1].energy_ev, abs=1e-6)
    assert np.linalg.norm(last.get_forces(), axis=1).max() == pytest.approx(rows[1].fmax_ev_ang, abs=1e-6)
    np.testing.assert_allclose(frames[0].positions, records[0].positions, atol=1e-7)


def test_a_rerun_computes_nothing_and_other_settings_everything(tmp_path):
    records = [record("H2O"), record("H2O", id="twin"), record("CH4")]
    first, summary = relaxed(tmp_path, records)
    assert summary.n_computed == 2  # twins are one molecule
    again, summary = relaxed(tmp_path, records)
    assert (summary.n_computed, summary.n_resumed) == (0, 2)
    assert [row.scalars() for row in again] == [row.scalars() for row in first]
    _, summary = relaxed(tmp_path, records, fmax=0.05)
    assert (summary.n_computed, summary.n_resumed) == (2, 0)
    _, summary = relaxed(tmp_path, [*records, record("CH3CH2OH")])
    assert (summary.n_computed, summary.n_resumed) == (1, 2)


@pytest.mark.parametrize(("behaviour", "status"), [("crash", "unknown_error"), ("kill", "resource_error")])
def test_a_crash_takes_one_molecule_along(tmp_path, behaviour, status):
    records = [record("CH4"), record("NH3"), record("H2O"), record("CH3CONH2"), record("CH3CH2OH")]
    rows, summary = relaxed(tmp_path, records, Level(engine="odd", method=behaviour))
    assert [row.status for row in rows] == ["ok", status, "ok", status, "ok"]
    assert summary.n_computed == 5
    _, summary = relaxed(tmp_path, records, Level(engine="odd", method=behaviour))
    assert summary.n_computed == 2  # the two that crashed are tried again


def test_a_molecule_that_is_killed_whenever_it_is_tried_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("ODD_ENGINE_LOG", str(tmp_path / "begun"))
    records = [record("CH4"), record("NH3"), record("H2O")]
    for begun in (3, 4, 5, 5, 6):  # after a row was given up, a later run may try it again
        rows, _ = relaxed(tmp_path, records, Level(engine="odd", method="kill"))
        assert [row.status for row in rows] == ["ok", "resource_error", "ok"]
        assert len((tmp_path / "begun").read_text().splitlines()) == begun
    assert "ask for more memory" not in rows[1].message


def test_a_molecule_that_hangs_is_stopped_with_what_is_known_of_it(tmp_path):
    records = [record("CH4"), record("NH3"), record("H2O")]
    rows, _ = relaxed(tmp_path, records, Level(engine="odd", method="hang"), timeout_s=3, workers=1)
    assert [row.status for row in rows] == ["ok", "timeout", "ok"]
    assert rows[1].n_gradients == 1 and "after 1 gradients" in rows[1].message
    assert 3 < rows[1].wall_s < 10
    _, summary = relaxed(tmp_path, records, Level(engine="odd", method="hang"), timeout_s=2, workers=1)
    assert summary.n_computed == 0  # less time would not help


@pytest.fixture
def twelve(tmp_path, data_folder):
    """A shard of 12 QM9 molecules at their MMFF94 geometries."""
    with np.load(data_folder / "qm9_val.npz") as table:
        ends = np.cumsum(table["n_atoms"])
        rows = [slice(end - n, end) for n, end in zip(table["n_atoms"][:12], ends[:12], strict=True)]
        records = [
            Record(f"{i:06d}", table["numbers"][r].astype(int), table["positions_mmff94"][r])
            for i, r in enumerate(rows)
        ]
    write_shard(tmp_path / "in.extxyz", records)
    return tmp_path / "in.extxyz"


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_shard_resumes_and_ends_with_the_same_table(tmp_path, twelve, monkeypatch):
    undisturbed, out, log = tmp_path / "whole.extxyz", tmp_path / "out.extxyz", tmp_path / "log"
    monkeypatch.setenv("ODD_ENGINE_LOG", str(log))
    job = subprocess.Popen([sys.executable, "-c", RUN, str(Path(__file__).parent), twelve, out, "slow"])
    while not journal_path(out).exists() or journal_path(out).read_bytes().count(b'"key"') < 3:
        assert job.poll() is None
        time.sleep(0.02)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert not out.exists()
    with Journal(journal_path(out)) as journal:
        finished = len(journal.entries())
    assert 3 <= finished < 12
    workers = {int(line.split()[2]) for line in log.read_text().splitlines()}
    time.sleep(1.0)
    assert not any(runs(pid) for pid in workers)  # nobody goes on without the job

    summary = relax_shard(twelve, out, SLOW, named=ODD_ROWS, resources=Resources(workers=2))
    assert (summary.n_resumed, summary.n_computed) == (finished, 12 - finished)
    begun = Counter(line.rsplit(maxsplit=1)[0] for line in log.read_text().splitlines())
    assert len(begun) == 12
    assert sum(begun.values()) - 12 <= 2  # only those in the two workers' hands at the kill

    relax_shard(twelve, undisturbed, SLOW, named=ODD_ROWS, resources=Resources(workers=2))
    for ours, theirs in zip(read_shard(out), read_shard(undisturbed), strict=True):
        timeless = {"wall_s": 0.0, "stages_s": {}}
        assert ours.scalars() | timeless == theirs.scalars() | timeless
        assert np.array_equal(ours.positions, theirs.positions)


def test_two_jobs_never_work_on_one_shard(tmp_path, twelve):
    out = tmp_path / "out.extxyz"
    job = subprocess.Popen([sys.executable, "-c", RUN, str(Path(__file__).parent), twelve, out, "slow"])
    try:
        while not journal_path(out).exists() or b'"key"' not in journal_path(out).read_bytes():
            time.sleep(0.02)
        with pytest.raises(ShardLockedError, match=f"process {job.pid}"):
            relax_shard(twelve, out, SLOW, named=ODD_ROWS, lock_wait_s=0.3)
    finally:
        job.kill()
        job.wait()


@pytest.mark.parametrize(
    ("level", "options", "words"),
    [
        (Level(engine="tblite", method="GFN9"), {}, "no method 'GFN9'"),
        (Level(engine="tblit", method="GFN2-xTB"), {}, "did you mean tblite"),
        (Level(engine="pyscf", method="b3lip", basis="def2-SVP"), {}, "did you mean B3LYP"),
        (GFN2, {"optimizer": "bfsg"}, "did you mean bfgs"),
        (GFN2, {"fmax": 0.0}, "fmax"),
        (GFN2, {"workers": 0}, "workers"),
        (GFN2, {"timeout_s": -1.0}, "timeout_s must be more than 0"),
    ],
)
def test_wrong_calls_are_one_sentence_and_write_nothing(tmp_path, level, options, words):
    with pytest.raises(UserError, match=words):
        relaxed(tmp_path, [record("H2O")], level, **options)
    assert not (tmp_path / "out.extxyz").exists()


def test_a_shard_without_work_needs_no_worker(tmp_path):
    rows, summary = relaxed(tmp_path, [record("H2O", status="timeout", message="earlier")])
    assert rows[0].status == "timeout" and summary.n_computed == 0
    assert relaxed(tmp_path, [])[0] == []


def test_the_journal_of_another_campaign_gives_nothing_away(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    relaxed(other, [record("H2O", seed=1)])
    relaxed(other, [record("CH4")], fmax=0.05)
    journal_path(other / "out.extxyz").rename(journal_path(tmp_path / "out.extxyz"))
    rows, summary = relaxed(tmp_path, [record("H2O"), record("CH4")])
    assert (summary.n_computed, summary.n_resumed) == (2, 0)
    assert [row.id for row in rows] == ["H2O", "CH4"] and rows[0].status == rows[1].status == "ok"


def test_a_journal_cut_anywhere_costs_what_was_cut(tmp_path):
    records = [record("H2O"), record("CH4"), record("NH3")]
    whole, _ = relaxed(tmp_path, records)
    journal = journal_path(tmp_path / "out.extxyz")
    journal.write_bytes(journal.read_bytes()[: journal.stat().st_size // 2])
    rows, summary = relaxed(tmp_path, records)
    assert summary.n_computed + summary.n_resumed == 3 and 1 <= summary.n_computed <= 2
    assert [row.energy_ev for row in rows] == pytest.approx([row.energy_ev for row in whole], abs=1e-7)
