"""Which shards are read, and to which start a row belongs that an earlier stage gave up."""

from pathlib import Path

import pytest
from campaigns import relaxed, write_campaign

from prerelax.comparison.relaxed_shards import read_relaxations, shard_files
from prerelax.records.record import Record
from prerelax.records.shard import ShardError, write_shard


def shards(folder: Path, *names: str) -> Path:
    for name in names:
        write_shard(folder / f"{name}.extxyz", [relaxed(name, folder.name, 3)])
    return folder


def test_all_shards_or_the_first_n(tmp_path: Path) -> None:
    folder = shards(tmp_path / "relaxed" / "gfn2" / "mmff94", "0000", "0001", "0002", "notes")
    assert [file.stem for file in shard_files([folder])] == ["0000", "0001", "0002"]
    assert [file.stem for file in shard_files([folder], 2)] == ["0000", "0001"]
    lone = folder / "0002.extxyz"
    assert shard_files([lone], 1) == [lone]


def test_a_missing_shard_is_named_with_its_stage(tmp_path: Path) -> None:
    folder = shards(tmp_path / "relaxed" / "gfn2" / "mmff94", "0000", "0002")
    with pytest.raises(
        ShardError, match=r"0001\.extxyz: no such shard; run the relaxation of start mmff94 at .*gfn2"
    ):
        shard_files([folder], 2)
    empty = tmp_path / "relaxed" / "gfn2" / "edm"
    empty.mkdir()
    with pytest.raises(ShardError, match=r"edm/0000\.extxyz: no such shard"):
        shard_files([folder, empty])
    with pytest.raises(ShardError, match="no such shard"):
        shard_files([tmp_path / "nowhere.extxyz"])
    with pytest.raises(ShardError, match="run the relaxation of start edm at target gfn1 first"):
        shard_files([tmp_path / "relaxed/gfn1/edm"])


def test_numbers_of_ten_thousand_and_more(tmp_path: Path) -> None:
    folder = shards(tmp_path / "relaxed" / "gfn2" / "mmff94", "9999", "10000")
    assert [file.stem for file in shard_files([folder])] == ["9999", "10000"]
    shards(folder, "00001")
    with pytest.raises(ShardError, match=r"00001.*numbered unlike"):
        shard_files([folder])


def test_a_cut_table_and_a_foreign_one(tmp_path: Path) -> None:
    folder = shards(tmp_path / "relaxed" / "gfn2" / "mmff94", "0000")
    table = folder / "0000.parquet"
    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ShardError, match=r"0000\.parquet: not a whole table"):
        read_relaxations([folder])


def test_rows_of_earlier_stages_belong_to_their_shard(tmp_path: Path) -> None:
    given_up = [
        Record(id="b", start="", status="embed_failed"),
        Record(id="c", start="mmff94", status="skipped"),
    ]
    folder = tmp_path / "relaxed" / "gfn2" / "edm"
    write_shard(folder / "0000.extxyz", [relaxed("a", "edm", 3), *given_up])
    write_shard(folder / "0001.extxyz", given_up)
    table = read_relaxations([folder])
    assert set(table["start"].to_pylist()) == {"edm"}
    assert set(table["target"].to_pylist()) == {"gfn2"}


def test_a_start_shard_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "starts" / "mmff94" / "0000.extxyz", [Record(id="a", start="mmff94")])
    with pytest.raises(ShardError, match=r"'a' has no target; compare reads relaxed shards"):
        read_relaxations([tmp_path / "starts" / "mmff94"])


def test_one_file_of_several_starts(tmp_path: Path) -> None:
    records = [relaxed("a", "mmff94", 3), relaxed("a", "edm", 2)]
    write_shard(tmp_path / "merged.extxyz", records)
    assert read_relaxations([tmp_path / "merged.extxyz"])["start"].to_pylist() == ["mmff94", "edm"]
    folders = write_campaign(tmp_path, records)
    apart = read_relaxations(folders)
    merged = read_relaxations([tmp_path / "merged.extxyz"])
    assert [Path(shard).name for shard in merged["shard"].to_pylist()] == ["merged.extxyz"] * 2
    assert (merged["frame"].to_pylist(), apart["frame"].to_pylist()) == ([0, 1], [0, 0])
    place = ["shard", "frame"]
    assert merged.drop_columns(place).to_pylist() == apart.drop_columns(place).to_pylist()
