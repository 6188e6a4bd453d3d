"""QM9's published formats, written by hand and by hypothesis, and real files of it."""

import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prerelax.datasets import qm9
from prerelax.datasets.structures import Structures, collect, read_npz, write_npz

WATER_XYZ = """3
gdb 3\t799.58812\t437.90386\t282.94545\t1.8511\t6.31
O\t-0.0343604951\t 0.9775395708\t 0.0076015923\t-0.589706
H\t 0.0647664923\t 0.0205721989\t 1.5346341*^-6\t 0.294853
H\t 0.8717903737\t 1.3007924048\t 6.9307*^-5\t 0.294853
1671.4222\t3803.6305\t3907.698
O\tO
InChI=1S/H2O/h1H2\tInChI=1S/H2O/h1H2
"""

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite)
def test_numbers_survive_mathematicas_exponents(value: float) -> None:
    mantissa, _, exponent = f"{value:e}".partition("e")
    assert qm9.parse_number(f"{mantissa}*^{int(exponent)}") == float(f"{mantissa}e{exponent}")
    assert qm9.parse_number(repr(value)) == value


@given(st.lists(st.tuples(st.sampled_from("HCNOF"), finite, finite, finite), min_size=1, max_size=5))
def test_atoms_are_read_as_they_were_written(atoms: list[tuple[str, float, float, float]]) -> None:
    def written(value: float) -> str:
        return re.sub(r"e([+-]?\d+)", r"*^\1", repr(value))

    small = [(symbol, *(np.float32(v / 1e300) for v in xyz)) for symbol, *xyz in atoms]
    lines = [f"{s}\t" + "\t".join(written(float(v)) for v in xyz) + "\t0.1" for s, *xyz in small]
    text = "\n".join([str(len(atoms)), "gdb 42\t1.0", *lines, "freq", "C\tC", "InChI"])
    identifier, numbers, positions = qm9.parse_published_xyz(text, "made up")
    assert identifier == 42
    assert [qm9.ATOMIC_NUMBERS[s] for s, *_ in small] == numbers.tolist()
    np.testing.assert_array_equal(positions, np.array([xyz for _, *xyz in small], dtype=np.float32))


@given(st.text())
def test_any_other_text_is_a_value_error(text: str) -> None:
    try:
        identifier, numbers, positions = qm9.parse_published_xyz(text, "made up")
    except ValueError as error:
        assert "made up" in str(error)
    else:
        assert identifier >= 0
        assert positions.shape == (len(numbers), 3)


def test_real_published_file(data_folder: Path) -> None:
    molecules = list(qm9.read_published_xyz(data_folder / "raw_formats/qm9_original"))
    assert molecules[0][0] == 1
    assert sorted(molecules[0][1].tolist()) == [1, 1, 1, 1, 6]


def test_plain_reexports_take_the_number_from_the_file_name(data_folder: Path) -> None:
    found = {m[0]: m for m in qm9.read_published_xyz(data_folder / "raw_formats/qm9_plain_xyz")}
    assert set(found) == {1, 2, 11, 100000, 133885}
    trained = read_npz(data_folder / "qm9_train.npz")
    row = int(np.flatnonzero(trained.ids == 100000)[0]) if 100000 in trained.ids else None
    if row is not None:
        np.testing.assert_allclose(trained.select([row]).positions, found[100000][2], atol=1e-4)


def _archive(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:bz2") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_archive_is_read_without_being_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tarfile.TarInfo("dsgdb9nsd_000099.xyz")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    path = _archive(
        tmp_path / "dsgdb9nsd.xyz.tar.bz2",
        {
            "../../dsgdb9nsd_000003.xyz": WATER_XYZ.encode(),
            "readme.txt": b"nothing",
            "link": link,
        },
    )
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    molecules = list(qm9.read_published_xyz(path))
    assert [m[0] for m in molecules] == [3]
    np.testing.assert_allclose(molecules[0][2][1], [0.0647664923, 0.0205721989, 1.5346341e-6])
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "dsgdb9nsd.xyz.tar.bz2"]


def test_archive_member_of_absurd_size_is_refused(tmp_path: Path) -> None:
    path = _archive(tmp_path / "big.tar.bz2", {"dsgdb9nsd_000001.xyz": b" " * (qm9.LARGEST_FILE + 1)})
    with pytest.raises(ValueError, match="too many for a QM9 file"):
        list(qm9.read_published_xyz(path))


SDF_RECORD = """gdb_3
     RDKit          3D

  3  2  0  0  0  0  0  0  0  0999 V2000
   -0.0344    0.9775    0.0076 O   0  0  0  0  0  0  0  0  0  0  0  0
    0.0648    0.0206    0.0015 H   0  0  0  0  0  0  0  0  0  0  0  0
    0.8718    1.3008    0.0007 H   0  0  0  0  0  0  0  0  0  0  0  0
  1  2  1  0
  1  3  1  0
M  END
$$$$
"""


def test_sdf_records_and_what_is_not_one(tmp_path: Path) -> None:
    path = tmp_path / "gdb9.sdf"
    path.write_text(SDF_RECORD + SDF_RECORD.replace("gdb_3", "no number"))
    first, second = qm9.read_sdf(path)
    assert (first[0], second[0]) == (3, 2)
    assert first[1].tolist() == [8, 1, 1]
    np.testing.assert_allclose(first[2][2], [0.8718, 1.3008, 0.0007], rtol=1e-6)
    for broken, message in [
        (SDF_RECORD[:300], "record 1: ends without"),
        (SDF_RECORD.replace("V2000", "V3000"), "V2000"),
        (SDF_RECORD.replace("  3  2", " 30  2"), "record 1"),
        (SDF_RECORD.replace(" O ", " Xx"), "record 1"),
    ]:
        path.write_text(broken)
        with pytest.raises(ValueError, match=message):
            list(qm9.read_sdf(path))


def test_consistency_list(tmp_path: Path) -> None:
    path = tmp_path / "uncharacterized.txt"
    rows = [
        "Index  GDB SMILES  relaxed SMILES",
        "=====",
        "  21   C#N   N#C",
        "  22  O=C  C=O  1.2",
        "-----",
        "end",
    ]
    path.write_text("\n".join(rows))
    assert qm9.read_inconsistent(path) == {21, 22}
    path.write_text("nothing here\n")
    with pytest.raises(ValueError, match="lists no molecule"):
        qm9.read_inconsistent(path)


def test_papers_splits_have_the_published_sizes() -> None:
    n = 133_885 - 3_054
    for paper, sizes in {"edm": (100_000, 17_748, 13_083), "morered": (55_000, 10_000, n - 65_000)}.items():
        parts = qm9.split(n, paper)
        assert tuple(len(parts[name]) for name in ("train", "valid", "test")) == sizes
        assert len(np.unique(np.concatenate(list(parts.values())))) == n
    # First rows of numpy's legacy permutation with seed 0, which the published code uses.
    expected = np.random.RandomState(0).permutation(n)[:5]
    np.testing.assert_array_equal(qm9.split(n, "edm")["train"][:5], expected)
    with pytest.raises(ValueError, match="unknown split"):
        qm9.split(n, "edmm")
    with pytest.raises(ValueError, match="whole of QM9"):
        qm9.split(1000, "edm")


def test_edm_split_leaves_the_known_test_molecules(data_folder: Path) -> None:
    """Molecules of the usual test split of EDM were kept out of the training file by their ids."""
    validation = read_npz(data_folder / "qm9_val.npz")
    assert not np.isin(validation.ids, read_npz(data_folder / "qm9_train.npz").ids).any()


def test_structures_survive_a_file(tmp_path: Path) -> None:
    water = qm9.parse_published_xyz(WATER_XYZ, "water")
    both = collect([water, (9, np.array([9, 1]), np.array([[0.0, 0, 0], [0.9, 0, 0]]))])
    write_npz(tmp_path / "set.npz", both)
    back = read_npz(tmp_path / "set.npz")
    for (i, z, x), (j, w, y) in zip(both, back, strict=True):
        assert i == j
        np.testing.assert_array_equal(z, w)
        np.testing.assert_array_equal(x, y)
    assert back.with_elements([1, 8]).ids.tolist() == [3]
    assert back.without_ids([3]).ids.tolist() == [9]
    assert back.select([1, 0]).numbers.tolist() == [9, 1, 8, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": np.array([1, 1])}, "not unique"),
        ({"n_atoms": np.array([2, 1])}, "adds up to|add up to"),
        ({"n_atoms": np.array([3, 0])}, "positive count"),
        ({"positions": np.full((3, 3), np.nan)}, "not finite"),
    ],
)
def test_inconsistent_npz_is_named(change: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    arrays = {
        "ids": np.array([1, 2]),
        "n_atoms": np.array([2, 1]),
        "numbers": np.array([1, 1, 8]),
        "positions": np.zeros((3, 3)),
    }
    arrays.update(change)
    if "n_atoms" in change and change["n_atoms"].tolist() == [2, 1]:
        arrays["numbers"] = np.array([1, 1])
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        read_npz(path)


def test_npz_without_its_arrays_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", ids=np.arange(3))
    with pytest.raises(ValueError, match="lacks the arrays n_atoms"):
        read_npz(tmp_path / "set.npz")


def test_structures_select_like_slices() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 6, size=20)
    whole: Structures = collect(
        [(i, rng.integers(1, 9, n), rng.normal(size=(n, 3))) for i, n in enumerate(sizes)]
    )
    rows = rng.permutation(20)[:7]
    molecules = list(whole)
    for row, (identifier, numbers, positions) in zip(rows, whole.select(rows), strict=True):
        assert identifier == row
        np.testing.assert_array_equal(numbers, molecules[row][1])
        np.testing.assert_array_equal(positions, molecules[row][2])
