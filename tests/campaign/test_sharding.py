"""Shards are row ranges that never change once a campaign has begun."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prerelax.campaign.sharding import Shard, Sharding, cut, read_shards
from prerelax.errors import UserError
from prerelax.molecules.input_files import count_rows, row_texts


def table(path: Path, n: int, first: str = "C") -> Path:
    rows = [f"m{i},{first if i == 0 else 'CO'}" for i in range(n)]
    path.write_text("\n".join(["id,smiles", *rows]) + "\n")
    return path


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 60))
def test_every_row_is_in_one_shard(first: int, n: int, size: int) -> None:
    shards = list(cut(first, first + n, size))
    assert [row for shard in shards for row in range(shard.first, shard.last)] == list(
        range(first, first + n)
    )
    assert all(0 < shard.last - shard.first <= size for shard in shards)


def test_added_rows_come_into_new_shards(tmp_path: Path) -> None:
    inp = table(tmp_path / "m.csv", 5)
    Sharding(inp, 2, tmp_path).save()
    begun = read_shards(tmp_path / "shards.csv")
    table(inp, 8)
    now = Sharding(inp, 2, tmp_path)
    assert [shard.rows for shard in now.shards] == ["0:2", "2:4", "4:5", "5:7", "7:8"]
    assert now.digests[:3] == [shard.digest for shard in begun]
    assert [shard.rows for shard in Sharding(inp, 100, tmp_path).shards] == ["0:2", "2:4", "4:5", "5:8"]


def test_an_edited_row_changes_its_own_shard_alone(tmp_path: Path) -> None:
    before = Sharding(table(tmp_path / "m.csv", 5), 2, tmp_path).digests
    after = Sharding(table(tmp_path / "m.csv", 5, first="CC"), 2, tmp_path).digests
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, True]


def test_lost_rows_are_refused(tmp_path: Path) -> None:
    inp = table(tmp_path / "m.csv", 5)
    Sharding(inp, 2, tmp_path).save()
    table(inp, 4)
    with pytest.raises(UserError, match="4 rows, but the campaign began with 5"):
        _ = Sharding(inp, 2, tmp_path).shards


def test_a_job_of_a_running_campaign_needs_no_input(tmp_path: Path) -> None:
    inp = table(tmp_path / "m.csv", 5)
    Sharding(inp, 2, tmp_path).save()
    noted = Sharding(inp, 2, tmp_path).digests
    inp.unlink()
    job = Sharding(inp, 2, tmp_path, job_of_running_campaign=True)
    assert job.names == ["0000", "0001", "0002"]
    assert job.digests == noted


def test_a_job_knows_shards_that_are_not_noted_yet(tmp_path: Path) -> None:
    inp = table(tmp_path / "m.csv", 5)
    Sharding(inp, 2, tmp_path).save()
    table(inp, 9)  # begun with 7 rows, and edited since
    job = Sharding(inp, 2, tmp_path, job_of_running_campaign=True, known_rows=7)
    assert [shard.rows for shard in job.shards] == ["0:2", "2:4", "4:5", "5:7"]
    assert len(set(job.digests)) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shard,first,last,digest\n",
        "shard,first,last,digest\n0000,0,2,x\n0001,3,4,x\n",
        "\x00PK",
        "a,b\n1,2\n",
    ],
)
def test_a_damaged_list_of_shards_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "shards.csv").write_text(text)
    with pytest.raises(UserError, match="not a list of successive shards"):
        read_shards(tmp_path / "shards.csv")


@pytest.mark.parametrize("name", ["m.csv", "quoted.csv", "m.smi", "m.xyz"])
def test_texts_are_as_many_as_rows(tmp_path: Path, name: str) -> None:
    content = {
        "m.csv": "id,smiles\r\na,C\r\n\r\n , \r\nb,CC",
        "quoted.csv": 'id,smiles\n"a\nb",C\nb,CC\n',
        "m.smi": "C methane\nCC ethane\n",
        "m.xyz": "1\nhelium\nHe 0 0 0\n1\nneon\nNe 0 0 0\n",
    }[name]
    (tmp_path / name).write_text(content)
    _, texts = row_texts(tmp_path / name)
    assert len(list(texts)) == count_rows(tmp_path / name) == 2


def test_a_header_belongs_to_every_row(tmp_path: Path) -> None:
    for name, header in (("a.csv", "id,smiles"), ("b.csv", "smiles,id")):
        (tmp_path / name).write_text(f"{header}\nC,C\n")
    a, b = (Sharding(tmp_path / name, 2, tmp_path / "none").digests for name in ("a.csv", "b.csv"))
    assert a != b


def test_shard_rows() -> None:
    assert Shard(3, 7).rows == "3:7"
