"""A shard survives its file, whatever the strings in it."""

import json
import random
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prerelax.records.record import Record, as_table
from prerelax.records.seal import opened_table, refusal_path
from prerelax.records.shard import ShardError, read_shard, table_path, write_frames, write_shard

WATER = Record(
    id="water",
    numbers=np.array([8, 1, 1]),
    positions=np.array([[0.0, 0.0, 0.1], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]]),
    smiles="[O:1]([H:2])[H:3]",
    start="mmff94",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def same(a: Record, b: Record) -> bool:
    per_atom = [(a.numbers, b.numbers), (a.positions, b.positions)]
    return a.scalars() == b.scalars() and all(np.allclose(x, y, atol=1e-8) for x, y in per_atom)


@pytest.mark.parametrize(
    "name", ["000123", "T", "1e5", "", " ", "None", "nan", 'a"b', "a=b", "a\\b", "é\n", "[1]", "_JSON 1"]
)
def test_ids_that_ase_would_change_come_back(tmp_path: Path, name: str) -> None:
    record = replace(WATER, id=name, message=name, smiles=r"F/C=C\F")
    write_shard(tmp_path / "0.extxyz", [record])
    assert same(read_shard(tmp_path / "0.extxyz")[0], record)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=TEXT, message=TEXT, smiles=TEXT, stages=st.dictionaries(TEXT, st.floats(0, 1e6), max_size=3))
def test_any_text_round_trips(
    tmp_path: Path, name: str, message: str, smiles: str, stages: dict[str, float]
) -> None:
    record = replace(WATER, id=name, message=message, smiles=smiles, stages_s=stages)
    write_shard(tmp_path / "0.extxyz", [record, WATER])
    back = read_shard(tmp_path / "0.extxyz")
    assert same(back[0], record)
    assert same(back[1], WATER)


def test_relaxed_fields_and_start_geometry_round_trip(tmp_path: Path) -> None:
    relaxed = replace(
        WATER,
        target="gfn2",
        converged=True,
        n_gradients=5,
        n_steps=4,
        energy_ev=-137.96,
        start_energy_ev=-137.90,
        fmax_ev_ang=0.01,
        connectivity_unchanged=False,
        settings=json.dumps({"engine": "tblite"}),
        start_positions=WATER.positions + 0.01,
    )
    write_shard(tmp_path / "0.extxyz", [relaxed])
    back = read_shard(tmp_path / "0.extxyz")[0]
    assert same(back, relaxed)
    assert back.start_positions is not None
    assert np.allclose(back.start_positions, WATER.positions + 0.01)
    assert type(back.converged) is bool
    assert type(back.n_steps) is int


def test_a_row_without_atoms_and_one_with_a_single_atom(tmp_path: Path) -> None:
    rows = [
        Record(id="broken", start="rdkit", status="embed_failed", message="no"),
        Record(id="he", numbers=np.array([2]), positions=np.zeros((1, 3)), start="rdkit"),
        WATER,
    ]
    write_shard(tmp_path / "0.extxyz", rows)
    assert [len(r.numbers) for r in read_shard(tmp_path / "0.extxyz")] == [0, 1, 3]
    assert [len(a) for a in ase.io.read(tmp_path / "0.extxyz", index=":")] == [0, 1, 3]


def test_table_holds_the_same_rows(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.extxyz", [WATER.after_stage("mmff94", 0.5), replace(WATER, id="000123")])
    table = pd.read_parquet(table_path(tmp_path / "0.extxyz"))
    assert list(table["id"]) == ["water", "000123"]
    assert list(table["n_atoms"]) == [3, 3]
    assert json.loads(table["stages_s"][0]) == {"mmff94": 0.5}


def test_an_empty_shard(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.extxyz", [])
    assert read_shard(tmp_path / "0.extxyz") == []


def test_a_cut_or_foreign_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "0.extxyz"
    write_shard(path, [WATER, WATER])
    whole = path.read_text()
    path.write_text(whole[: len(whole) - 70])
    with pytest.raises(ShardError, match="not a whole shard"):
        read_shard(path)
    table_path(path).unlink()
    path.write_text("1\nProperties=species:S:1:pos:R:3\nHe 0 0 0\n")
    with pytest.raises(ShardError, match="lacks id"):
        read_shard(path)
    with pytest.raises(ShardError, match="no such shard"):
        read_shard(tmp_path / "absent.extxyz")


def test_nothing_is_left_behind_by_a_failed_write(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_shard(tmp_path / "0.extxyz", [replace(WATER, stages_s={"x": object()})])  # type: ignore[dict-item]
    assert list(tmp_path.iterdir()) == []


def test_writing_leaves_the_frames_as_they_were(tmp_path):
    atoms = Atoms("H", info={"id": "000123"})
    write_frames(tmp_path / "frames.extxyz", [atoms])
    assert atoms.info == {"id": "000123"}


def test_frames_cut_at_a_frames_end_or_emptied_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "0.extxyz"
    write_shard(path, [WATER, replace(WATER, id="second")])
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole.replace(b"0.76", b"0.77", 1), whole + whole):
        path.write_bytes(content)
        with pytest.raises(ShardError, match=r"0\.extxyz: not a whole shard .*makes it again"):
            read_shard(path)
        assert refusal_path(path).read_text().startswith(f"{path}: not a whole shard")
    write_shard(path, [WATER])
    assert not refusal_path(path).exists()


def test_a_shard_of_an_earlier_version_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "0.extxyz"
    write_shard(path, [WATER, replace(WATER, id="second")])
    pq.write_table(as_table(read_shard(path)), table_path(path))
    assert [row.id for row in read_shard(path)] == ["water", "second"]
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    with pytest.raises(ShardError, match="1 rows where its table has 2"):
        read_shard(path)


def test_any_changed_byte_of_a_table_is_noticed(tmp_path: Path) -> None:
    path = table_path(tmp_path / "0.extxyz")
    write_shard(tmp_path / "0.extxyz", [WATER, replace(WATER, energy_ev=-1.5)])
    whole = path.read_bytes()
    with opened_table(path) as file:
        before = file.read()
    choose = random.Random(1)
    for _ in range(300):
        at, bit = choose.randrange(len(whole)), 1 << choose.randrange(8)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        try:
            with opened_table(path) as file:
                assert file.read() == before, f"byte {at}, bit {bit}"
        except ShardError as error:
            assert str(path) in str(error)
