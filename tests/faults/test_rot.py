"""Files that change, are cut or emptied by the disk: each harmless or named, never another number."""

import errno
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prerelax.campaign.config import Campaign
from prerelax.campaign.inspection import unfit_shards
from prerelax.campaign.sharding import SHARDS_FILE, Sharding, read_shards
from prerelax.comparison.comparison import compare
from prerelax.comparison.relaxed_shards import read_relaxations
from prerelax.comparison.verdict import read_verdict
from prerelax.comparison.verification import verify
from prerelax.errors import UserError
from prerelax.records.frames import read_geometries
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.journal import Journal

SEED = 20
Times = Callable[[int], int]


def frames(path: Path) -> Any:
    rows = read_shard(path)
    return [(row.scalars(), row.numbers.tolist(), row.positions.tolist()) for row in rows]


def geometries(path: Path) -> Any:
    return [positions.tolist() for positions in read_geometries(path)]


def journal(path: Path) -> Any:
    with Journal(path, 0.0) as opened:
        return opened.entries()


def table(path: Path) -> Any:
    return read_relaxations([path.with_suffix(".extxyz")]).to_pylist()


READERS: dict[str, Callable[[Path], Any]] = {
    "starts/*/*.extxyz": frames,
    "molecules/*.extxyz": frames,
    "relaxed/*/*/*.extxyz": frames,
    "relaxed/gfn1/*/*.extxyz": geometries,
    "relaxed/*/*/*.parquet": table,
    "relaxed/*/*/*.jsonl": journal,
    SHARDS_FILE: read_shards,
}


def outcome(read: Callable[[Path], Any], path: Path, before: Any) -> str:
    try:
        after = read(path)
    except UserError as error:
        assert str(path.with_suffix("")) in str(error), f"{error} does not name {path}"
        return "named"
    if after == before:
        return "harmless"
    lost = isinstance(after, dict) and all(before.get(key) == value for key, value in after.items())
    return "computed again" if lost else "silent"


@pytest.mark.slow
def test_flipped_bits_are_harmless_or_named(
    folder: Path, times: Times, capsys: pytest.CaptureFixture[str]
) -> None:
    choose = random.Random(SEED)
    results = folder / "results/c"
    files = [(path, read) for glob, read in READERS.items() for path in sorted(results.glob(glob))]
    counts: dict[str, int] = {}
    for _ in range(times(2000)):
        path, read = choose.choice(files)
        whole = path.read_bytes()
        before = read(path)
        whole = path.read_bytes()  # an opened journal has two lines more
        at, bit = choose.randrange(len(whole)), choose.randrange(8)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        found = outcome(read, path, before)
        assert found != "silent", f"{path}, byte {at}, bit {bit}, seed {SEED}"
        counts[found] = counts.get(found, 0) + 1
        path.write_bytes(whole)
        path.with_suffix(".refused").unlink(missing_ok=True)
    with capsys.disabled():
        print(f"\nbit flips, seed {SEED}: {counts}")


@pytest.mark.slow
def test_cut_and_zeroed_files_lose_no_row_in_silence(
    folder: Path, campaign: Campaign, times: Times, capsys: pytest.CaptureFixture[str]
) -> None:
    choose = random.Random(SEED + 1)
    results = Path("results/c")
    globs = ("molecules/*", "starts/*/*", "relaxed/*/*/*.extxyz", "relaxed/*/*/*.parquet")
    files = [path for glob in globs for path in sorted(results.glob(glob))]
    shards = Sharding(campaign.molecules, campaign.shard_size, results).shards
    assert unfit_shards(campaign, results, shards) == []
    counts: dict[str, int] = {}
    for _ in range(times(500)):
        path = choose.choice(files)
        whole = path.read_bytes()
        kind = choose.choice(["cut", "cut at a line's end", "emptied", "zeros", "gone", "twice"])
        ends = [at + 1 for at, byte in enumerate(whole[:-1]) if byte == ord("\n")]
        damaged = {
            "cut": whole[: choose.randrange(len(whole))],
            "cut at a line's end": whole[: choose.choice(ends)] if ends else b"",
            "emptied": b"",
            "zeros": bytes(len(whole)),
            "gone": None,
            "twice": whole * 2,
        }[kind]
        path.unlink()
        if damaged is not None:
            path.write_bytes(damaged)
        found = unfit_shards(campaign, results, shards)
        seen = {each.frames for each in found} == {path.with_suffix(".extxyz")}
        if kind == "gone" and path.suffix == ".extxyz":
            seen = found == []  # Snakemake itself sees that an output is gone
        elif not seen:  # of the same size: known when it is read
            with pytest.raises(UserError):
                frames(path.with_suffix(".extxyz"))
            assert {each.frames for each in unfit_shards(campaign, results, shards)} == {
                path.with_suffix(".extxyz")
            }, f"{kind}: {path}, seed {SEED + 1}"
        counts[kind] = counts.get(kind, 0) + 1
        path.write_bytes(whole)
        path.with_suffix(".refused").unlink(missing_ok=True)
    with capsys.disabled():
        print(f"\nfiles cut, emptied, zeroed, gone, seed {SEED + 1}: {counts}")


@pytest.mark.parametrize("suffix", [".extxyz", ".parquet"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_in_a_files_place_is_named(
    folder: Path, campaign: Campaign, suffix: str, make: Callable[[Path], None]
) -> None:
    path = Path("results/c/relaxed/gfn1/mmff94/0000.extxyz").with_suffix(suffix)
    path.unlink()
    make(path)
    for read in (read_shard, lambda frames: read_relaxations([frames])):
        with pytest.raises(UserError, match=f"0000{suffix}"):
            read(path.with_suffix(".extxyz"))
    shards = Sharding(campaign.molecules, campaign.shard_size, Path("results/c")).shards
    if suffix == ".parquet":
        assert len(unfit_shards(campaign, Path("results/c"), shards)) == 1


def test_compare_counts_molecules_in_and_out(folder: Path) -> None:
    path = Path("results/c/relaxed/gfn1/mmff94/0001.extxyz")
    write_shard(path, read_shard(path)[:1])  # whole in itself
    with pytest.raises(UserError, match="1 rows where the campaign has 2"):
        compare(Path("new.csv"), [path.parent], None, 3)


@pytest.mark.slow
def test_verify_accounts_for_everything_and_sees_what_changed(folder: Path, campaign: Campaign) -> None:
    whole = verify(campaign, Path(), 3)
    assert whole.problems == [], whole.text
    assert "  relaxed/gfn1/mmff94  5 rows: 4 ok, 1 input_error\n" in whole.text
    assert "8 relaxed geometries: 0 with other bonds than the molecule, 0 with another" in whole.text
    assert "target gfn1: 3 rows computed again, energies agree to " in whole.text
    assert "34 files, looked at for the first time\nverified: no row" in whole.text
    assert read_verdict(Path("results/c")) == whole
    again = verify(campaign, Path(), 0)
    assert "34 files: 34 as at the last call\nverified:" in again.text
    choose = random.Random(SEED + 2)
    noted = [line.split("  ")[1] for line in Path("results/c/SHA256SUMS").read_text().splitlines()]
    assert "comparison.csv" in noted and "summary.csv" in noted
    for name in noted:
        path = Path("results/c") / name
        content, stat = path.read_bytes(), path.stat()
        at = choose.randrange(len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        try:
            problems = verify(campaign, Path(), 0).problems
        except UserError as error:
            problems = [str(error)]
        assert any(path.with_suffix("").name in problem for problem in problems), name
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        path.with_suffix(".refused").unlink(missing_ok=True)


@pytest.mark.slow
def test_verify_is_not_misled_by_a_clock_that_was_wrong(folder: Path, campaign: Campaign) -> None:
    path, late = Path("results/c/comparison.csv"), time.time() + 3600
    os.utime(path, (late, late))
    assert verify(campaign, Path(), 0).problems == []
    noted = Path("results/c/SHA256SUMS").read_text()
    page = Path("results/c/page.html")
    page.write_text("as it was made")
    os.utime(page, (late, late))
    assert verify(campaign, Path(), 0).problems == []
    page.write_text("as it was m\0de")
    os.utime(page, (late, late))
    (problem,) = verify(campaign, Path(), 0).problems
    assert "page.html: changed although nobody wrote it" in problem
    assert noted != Path("results/c/SHA256SUMS").read_text()


@pytest.mark.slow
def test_verify_speaks_where_it_may_not_write(
    folder: Path, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, text: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("prerelax.comparison.verification.write_text_atomically", refuse)
    found = verify(campaign, Path(), 0)
    assert found.passed and "SHA256SUMS cannot be written: the verdict is not kept" in found.text


@pytest.mark.slow
def test_verify_sees_an_energy_that_is_not_the_geometrys(folder: Path, campaign: Campaign) -> None:
    for start in campaign.starts:
        for path in Path(f"results/c/relaxed/gfn1/{start}").glob("*.extxyz"):
            rows = read_shard(path)
            moved = [replace(row, positions=row.positions * 1.01) for row in rows]
            pairs = zip(rows, moved, strict=True)
            write_shard(path, [row if row.energy_ev is None else new for row, new in pairs])
    problems = verify(campaign, Path(), 2).problems
    assert sum("computed again its energy is" in problem for problem in problems) == 2, problems
