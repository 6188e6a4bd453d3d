"""The journal survives kills, and two jobs never work on one shard."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from prerelax.records.record import Record
from prerelax.relaxation.journal import (
    Journal,
    JournalError,
    ShardLockedError,
    molecule_key,
    molecules_in_hand,
)

WATER = Record(
    id="w",
    numbers=np.array([8, 1, 1]),
    positions=np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]]),
)
HOLD = """
import sys, time
from pathlib import Path
from prerelax.relaxation.journal import Journal
with Journal(Path(sys.argv[1])) as journal:
    journal.add("a", {"n": 1})
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def test_entries_come_back_and_the_last_counts(tmp_path):
    path = tmp_path / "new" / "j.jsonl"
    with Journal(path) as journal:
        journal.add("a", {"n": 1})
        assert journal.entries() == {"a": {"n": 1}}
        journal.add("b", {"n": 0.1 + 0.2})
        journal.add("a", {"n": 3})
    with Journal(path) as journal:
        assert journal.entries() == {"a": {"n": 3}, "b": {"n": 0.1 + 0.2}}


def test_who_looks_on_sees_the_last_gradient_of_what_is_in_hand(tmp_path):
    path = tmp_path / "j.jsonl"
    first, last = ({"n_gradients": n, "energy_ev": -9.0 - n, "fmax_ev_ang": 1.0 / n} for n in (1, 4))
    with Journal(path) as journal:
        for key in "ab":
            journal.begin(key)
            journal.see(key, f"molecule {key}", first)
        journal.see("a", "molecule a", last)
        journal.add("b", {"n": 1})
        assert molecules_in_hand(path) == (
            1,
            ["molecule a: gradient 4, energy -13.0000 eV, largest force 0.250 eV/Å"],
        )
        assert journal.entries() == {"b": {"n": 1}}
    with Journal(path) as journal:
        assert molecules_in_hand(path) == (1, []), "what a job before had in hand is not in hand"
        assert journal.kills() == {}, "it ended well"


def test_gradients_of_a_killed_job_are_known_to_the_next(tmp_path):
    path = tmp_path / "j.jsonl"
    first, second = (
        {"positions": [[0.1, 0.0, n]], "energy_ev": -n, "forces": [[0.0, 0.0, 0.3]], "wall_s": 20.0}
        for n in (1.0, 2.0)
    )
    with Journal(path) as journal:
        journal.begin("a")
        journal.keep("a", first)
        journal.keep("b", second)
        journal.keep("a", second)
    with Journal(path) as journal:
        assert journal.gradients({"a", "c"}) == {"a": [first, second], "c": []}
        assert journal.entries() == {}
        journal.retry(["a"])
        assert journal.gradients({"a"}) == {"a": []}, "relaxed anew"


@pytest.mark.parametrize("torn", [b'{"key": "b", "resu', b"\xff\x00garbage", b'"a string"\n', b"{}"])
def test_a_torn_last_line_is_passed_over(tmp_path, torn):
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.add("a", {"n": 1})
    with path.open("ab") as file:
        file.write(torn)
    with Journal(path) as journal:
        assert journal.entries() == {"a": {"n": 1}}
        journal.add("c", {"n": 2})
        assert journal.entries() == {"a": {"n": 1}, "c": {"n": 2}}


@pytest.mark.parametrize(
    "unfit",
    [{"holder": "x"}, {"key": "b"}, {"key": "b", "result": 3}, {"begun": 1}, {"later": 1}],
)
def test_a_line_that_does_not_fit_counts_as_absent_and_is_told_once(tmp_path, capsys, unfit):
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.add("a", {"n": 1})
    with path.open("a") as file:
        file.write(json.dumps(unfit) + "\n")
    with Journal(path) as journal:
        assert journal.entries() == journal.entries() == {"a": {"n": 1}}
        assert journal.kills() == {}
    assert capsys.readouterr().err.count("j.jsonl: 1 line is torn, changed or of another version") == 1


def test_any_changed_byte_of_a_journal_is_noticed(tmp_path):
    path = tmp_path / "j.jsonl"
    results = {"a": {"energy_ev": -137.2, "status": "ok"}, "b": {"energy_ev": 0.1 + 0.2, "status": "ok"}}
    with Journal(path) as journal:
        for key, result in results.items():
            journal.add(key, result)
    whole = path.read_bytes()
    choose = random.Random(1)
    for _ in range(500):
        at, bit = choose.randrange(len(whole)), 1 << choose.randrange(8)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        with Journal(path, 0.0) as journal:
            for key, result in journal.entries().items():
                assert result == results[key], f"byte {at}, bit {bit}"


def test_lines_without_check_sums_are_read(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text('{"key": "a", "result": {"n": 1}}\n')
    with Journal(path) as journal:
        assert journal.entries() == {"a": {"n": 1}}


def test_a_pipe_is_no_journal(tmp_path):
    os.mkfifo(tmp_path / "j.jsonl")
    with pytest.raises(JournalError, match=r"j\.jsonl: not a file"), Journal(tmp_path / "j.jsonl"):
        pass


def hold(path, seconds):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_job_is_told_who_has_the_shard(tmp_path):
    path = tmp_path / "j.jsonl"
    holder = hold(path, 60)
    try:
        began = time.monotonic()
        with pytest.raises(ShardLockedError, match=f"process {holder.pid}, since 20"), Journal(path, 0.5):
            pass
        assert 0.4 < time.monotonic() - began < 5
    finally:
        holder.kill()
        holder.wait()


def test_a_second_job_waits_for_one_that_ends(tmp_path):
    path = tmp_path / "j.jsonl"
    holder = hold(path, 0.7)
    with Journal(path, 20) as journal:
        assert journal.entries() == {"a": {"n": 1}}
    assert holder.wait() == 0


def test_a_killed_holders_lock_is_free(tmp_path):
    path = tmp_path / "j.jsonl"
    holder = hold(path, 60)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with Journal(path, 5) as journal:
        assert journal.entries() == {"a": {"n": 1}}


def test_the_lock_holds_while_its_holder_reads(tmp_path):
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.entries()
        path.read_bytes()
        with pytest.raises(ShardLockedError), Journal(path, 0.0):
            pass


def test_the_key_is_the_physics_and_not_the_name():
    settings = {"engine": "tblite", "method": "GFN2-xTB"}
    key = molecule_key(WATER, settings)
    assert molecule_key(replace(WATER, id="other", start="edm-n50"), settings) == key
    moved = replace(WATER, positions=WATER.positions + 1e-8)
    others = [moved, replace(WATER, charge=1), replace(WATER, multiplicity=3)]
    keys = {molecule_key(other, settings) for other in others}
    keys.add(molecule_key(WATER, {**settings, "method": "GFN1-xTB"}))
    assert len(keys | {key}) == 5


def test_a_holder_that_was_killed_leaves_its_molecules_as_suspects(tmp_path):
    path = tmp_path / "j.jsonl"
    begun = "journal.begin('poison'); journal.add('fine', {'status': 'ok'}); journal.begin('big')"
    program = HOLD.replace('journal.add("a", {"n": 1})', f"{begun}; import os; os.kill(os.getpid(), 9)")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program, str(path), "0"], check=False)
    with Journal(path) as journal:
        assert journal.kills() == {"poison": 2, "big": 2}
        journal.add("big", {"status": "not_converged"})
        journal.begin("poison")
    with Journal(path) as journal:
        assert journal.kills() == {"poison": 2}, "a holder that says goodbye was not killed"
        journal.begin("poison")
        journal.add("poison", {"status": "resource_error"})
        assert journal.kills() == {"poison": 3}
        journal.add("poison", {"status": "resource_error"}, given_up=True)
        assert journal.kills() == {}


def test_a_disk_that_takes_no_more_is_one_sentence(tmp_path):
    path = tmp_path / "j.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with Journal(path) as journal:
            journal.add("a", {"n": 1})
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, limits[1]))
            with pytest.raises(
                JournalError, match=r"j\.jsonl: File too large; the molecules finished so far"
            ):
                journal.add("b", {"n": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with Journal(path) as journal:
        assert journal.entries() == {"a": {"n": 1}}
        journal.add("b", {"n": 2})
        assert journal.entries() == {"a": {"n": 1}, "b": {"n": 2}}


@pytest.mark.parametrize(
    ("state", "held"), [("RUNNING", True), ("COMPLETING", True), ("COMPLETED", False), ("", False)]
)
def test_where_locks_end_at_the_node_slurm_is_asked(tmp_path, monkeypatch, state, held):
    squeue = tmp_path / "bin/squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\n[ \"$*\" = '--noheader --format=%T --jobs 41' ] && echo {state}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.setenv("SLURMD_NODENAME", "n2")
    path = tmp_path / "j.jsonl"
    path.write_text('{"holder": {"host": "n1", "pid": 7, "slurm_job": "41", "since": "noon"}}\n')
    if held:
        with pytest.raises(ShardLockedError, match="host n1, process 7, SLURM job 41"), Journal(path, 0.0):
            pass
        monkeypatch.setenv("SLURMD_NODENAME", "n1")  # on one node the kernel's lock is enough
    with Journal(path, 0.0):
        pass
