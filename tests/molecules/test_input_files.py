"""Rows of molecule files: counted, cut and named as read."""

import gzip
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from prerelax.molecules.input_files import InputFileError, count_rows, read_rows

WATER = "3\n{comment}\nO 0.0 0.0 0.117\nH 0.0 0.757 -0.469\nH 0.0 -0.757 -0.469\n"


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "id,smiles\na,C\nb,CC\n",
        "id,smiles\na,C\nb,CC",
        "\ufeffid,smiles\r\na,C\r\nb,CC\r\n",
        "id,smiles\ra,C\rb,CC\r",
        "\n\nid,smiles\n\n  \na,C\n\n\nb,CC\n,\n ,, \n\n",
        'id,smiles,note\na,C,"two\nlines, quoted"\nb,CC,\n',
        "ID;SMILES\na;C\nb;CC\n",
        "smiles\tname\nC\ta\nCC\tb\n",
        "Name , Note, Smiles\na , x, C\nb,y,CC\n",
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_tables_of_every_dialect_have_the_same_rows(tmp_path: Path, text: str, compressed: bool) -> None:
    data = gzip.compress(text.encode()) if compressed else text.encode()
    path = written(tmp_path, "molecules.csv.gz" if compressed else "molecules.csv", data)
    assert [(row.id, row.text) for row in read_rows(path)] == [("a", "C"), ("b", "CC")]
    assert count_rows(path) == 2


def test_utf16_and_latin1_tables_are_read(tmp_path: Path) -> None:
    utf16 = written(tmp_path, "a.csv", "id,smiles\nα,C\n".encode("utf-16"))
    latin1 = written(tmp_path, "b.csv", "id,smiles\nMüller,C\n".encode("latin-1"))
    assert [row.id for row in read_rows(utf16)] == ["α"]
    assert [row.id for row in read_rows(latin1)] == ["Müller"]
    assert count_rows(utf16) == count_rows(latin1) == 1


CELL = st.text(st.characters(codec="utf-8", exclude_characters='",;\t\r\n\0\ufeff'), max_size=6)


@given(st.lists(st.tuples(CELL, CELL) | st.sampled_from([("", ""), ("  ", "\t")]), max_size=8))
def test_count_and_rows_agree_on_any_table(rows: list[tuple[str, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        text = "id,smiles\n" + "".join(f"{name},{smiles}\n" for name, smiles in rows)
        path = written(Path(folder), "table.csv", text)
        try:
            n_read = sum(1 for _ in read_rows(path))
        except InputFileError:
            with pytest.raises(InputFileError):
                count_rows(path)
        else:
            assert count_rows(path) == n_read


def test_a_million_rows_are_counted_fast(tmp_path: Path) -> None:
    path = written(tmp_path, "many.csv", b"id,smiles\n" + b"abc,CC(=O)Nc1ccc(O)cc1\n" * 1_000_000)
    began = perf_counter()
    assert count_rows(path) == 1_000_000
    assert perf_counter() - began < 2.0  # about 0.1 s on an idle machine


def test_first_row_with_an_id_is_known_outside_the_slice(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "id,smiles\nx,C\ny,C\nx,CC\nx,CCC\n")
    assert [(r.number, r.first_with_id) for r in read_rows(path, start=2)] == [(3, 1), (4, 1)]


def test_smiles_lists_may_lack_names_and_have_a_header(tmp_path: Path) -> None:
    path = written(tmp_path, "list.smi", "SMILES Name\nCC ethane\n\nC\tacetic acid \nO\n")
    assert [(r.id, r.text) for r in read_rows(path)] == [
        ("ethane", "CC"),
        ("acetic acid", "C"),
        ("list-3", "O"),
    ]
    assert count_rows(path) == 3


def test_extensions_of_a_smiles_are_no_names(tmp_path: Path) -> None:
    path = written(tmp_path, "list.smi", "C[CH2] |^1:1| ethyl\nCCO |r|\nCC=C=CC |$;;;;$| an allene\n")
    assert [(r.id, r.text) for r in read_rows(path)] == [
        ("ethyl", "C[CH2] |^1:1|"),
        ("list-2", "CCO |r|"),
        ("an allene", "CC=C=CC |$;;;;$|"),
    ]


@pytest.mark.parametrize("comment", ["charge=-1", "phenolate Charge: -1", "q=-1", "-1 1"])
def test_a_frame_says_its_charge_in_many_ways(tmp_path: Path, comment: str) -> None:
    path = written(tmp_path, "ion.xyz", f"2\n{comment}\nO 0 0 0\nH 0 0 0.96\n")
    assert [row.charge for row in read_rows(path)] == ["-1"]


@pytest.mark.parametrize("comment", ["partial charge: 0.35", "seq=2", "water"])
def test_what_is_no_charge_of_a_frame(tmp_path: Path, comment: str) -> None:
    path = written(tmp_path, "a.xyz", f"1\n{comment}\nO 0 0 0\n")
    assert [row.charge for row in read_rows(path)] == [""]


def test_data_fields_of_several_lines_are_kept(tmp_path: Path) -> None:
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("C"))
    fields = ">  <Comment>\none\ntwo\n\n>  <charge>\n0\nignored\n>  <Next>\nx\n\n$$$$\n"
    (row,) = read_rows(written(tmp_path, "a.sdf", f"{block}{fields}"))
    assert row.others == {"Comment": "one\ntwo", "Next": "x"} and row.charge == "0"


@pytest.mark.parametrize(
    ("comment", "name"),
    [
        ("water", "water"),
        ("", "shot"),
        ("-76.123", "shot"),
        ("energy -76.1 from a program", "shot"),
        ("id=000123 charge=0", "000123"),
        ("charge=0 multiplicity=1 water", "water"),
        ('Properties=species:S:1:pos:R:3 id="two words" E=1', "two words"),
        ('id="_JSON \\"T\\""', "T"),
        ("<R2>=35.3", "shot"),
    ],
)
def test_frames_are_named_by_id_or_one_word(tmp_path: Path, comment: str, name: str) -> None:
    path = written(tmp_path, "shot.xyz", WATER.format(comment=comment))
    assert [row.id for row in read_rows(path)] == [name]


def test_frames_without_names_are_numbered(tmp_path: Path) -> None:
    path = written(tmp_path, "shots.xyz", "\n" + 2 * (WATER.format(comment="") + "\n"))
    assert [row.id for row in read_rows(path)] == ["shots-1", "shots-2"]


def test_a_table_without_ids_numbers_its_rows_and_keeps_other_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "mine.csv", "SMILES;Yield / %;note\r\nCCO;93;a\r\n\r\nC;;b\r\n")
    rows = list(read_rows(path))
    assert [(row.id, row.text, dict(row.others)) for row in rows] == [
        ("mine-1", "CCO", {"Yield / %": "93", "note": "a"}),
        ("mine-2", "C", {"Yield / %": "", "note": "b"}),
    ]
    assert count_rows(path) == 2
    assert [row.id for row in read_rows(path, start=1)] == ["mine-2"]


def test_a_wrong_atom_count_costs_one_frame(tmp_path: Path) -> None:
    good = WATER.format(comment="good")
    path = written(tmp_path, "a.xyz", WATER.format(comment="bad").replace("3\n", "30\n", 1) + good)
    assert [(row.id, row.text.count("\n") + 1) for row in read_rows(path)] == [("bad", 3), ("good", 3)]
    assert count_rows(path) == 2


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("none.csv", None, "no such file"),
        ("a.csv", "", "empty"),
        ("a.csv", "\n \n", "empty"),
        ("a.csv", "id,smiles\n", "no molecules"),
        ("a.csv", "name,structure\na,C\n", "no column 'smiles'"),
        ("a.csv", "id,name\nC,D\n", "no column 'smiles'"),
        ("a.csv", "id,smiles,ID\na,C,b\n", "twice"),
        ("a.csv", 'id,smiles\na,"C\nb,CC\n', "quotation mark"),
        ("a.smi", "", "no molecules"),
        ("a.sdf", "\n\n", "no molecules"),
        ("a.xyz", "", "no molecules"),
        ("a.mol2", "x", "ending '.mol2'"),
        ("molecules", "x", "(none)"),
        ("a.csv.gz", "id,smiles\na,C\n", "cannot be read"),
    ],
)
def test_useless_files_raise_one_sentence_that_names_them(
    tmp_path: Path, name: str, text: str | None, says: str
) -> None:
    path = tmp_path / name if text is None else written(tmp_path, name, text)
    for use in (count_rows, lambda p: list(read_rows(p))):
        with pytest.raises(InputFileError) as error:
            use(path)
        assert str(path) in str(error.value)
        assert says in str(error.value)
        assert "\n" not in str(error.value)


def test_flat_arrays_are_molecules(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    positions = np.arange(15, dtype=np.float32).reshape(5, 3) / 3
    np.savez(
        path, ids=[7, 12], n_atoms=[2, 3], numbers=np.array([8, 1, 6, 1, 9], np.uint8), positions=positions
    )
    assert count_rows(path) == 2
    row = next(iter(read_rows(path, start=1)))
    assert (row.id, row.kind, row.n_atoms) == ("12", "xyz", "3")
    cells = [line.split() for line in row.text.splitlines()]
    assert [c[0] for c in cells] == ["6", "1", "9"]
    np.testing.assert_array_equal(np.array([c[1:] for c in cells], np.float32), positions[2:])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputFileError, match="not a set of molecules"):
        count_rows(path)
