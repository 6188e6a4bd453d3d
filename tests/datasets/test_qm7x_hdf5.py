"""QM7-X's published HDF5 files, written here in their form from a molecule of QM7-X itself."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from prerelax.datasets.graph_split import split_sets
from prerelax.datasets.qm7x import read_qm7x
from prerelax.datasets.qm7x_hdf5 import (
    PROPERTIES,
    LeftOut,
    Qm7xStructure,
    StructureName,
    convert,
    read_duplicates,
    read_structures,
)
from prerelax.datasets.structures import read_npz
from prerelax.errors import UserError

h5py = pytest.importorskip("h5py", reason="h5py is an extra")

NAMES = ["opt", *(f"d{i}" for i in range(1, 8))]
CONFORMERS = {"12": ["Geom-m1-i1-c1", "Geom-m1-i2-c1"], "3": ["Geom-m2-i1-c1"]}


@pytest.fixture
def original(data_folder: Path, tmp_path: Path) -> Path:
    """Three equilibria of two molecules, one of them hydrogen-poorer; every key that the source has."""
    with np.load(data_folder / "qm7x_one_molecule_100.npz") as source:
        arrays = {key: source[key] for key in source.files}
    path = tmp_path / "8000.hdf5"
    row = 0
    with h5py.File(path, "w") as file:
        for molecule, conformers in CONFORMERS.items():
            for name in (f"{c}-{u}" for c in conformers for u in NAMES):
                group = file.create_group(f"{molecule}/{name}")
                for key, values in arrays.items():
                    value = values[row]
                    if molecule == "3" and len(value) == len(arrays["atNUM"][0]):
                        value = value[:-1]
                    group[key] = value.astype(np.int64 if key == "atNUM" else np.float64)
                row += 1
    return path


def edited(path: Path, change: Callable[["h5py.Group"], None]) -> Path:
    with h5py.File(path, "a") as file:
        change(file["12"])
    return path


def test_every_key_of_the_source_is_read_as_it_stands(original: Path, data_folder: Path) -> None:
    keys = ("totFOR", "ePBE0+MBD", "hRAT", "hCHG", "vDIP")
    found = list(read_structures(original, keys))
    assert all(isinstance(s, Qm7xStructure) for s in found)
    assert [s.molecule for s in found] == ["3"] * 8 + ["12"] * 16
    by_name = {s.name: s for s in found}
    with np.load(data_folder / "qm7x_one_molecule_100.npz") as source:
        for key in keys:
            here = by_name[StructureName(1, 2, 1, 3)].properties[key]
            np.testing.assert_array_equal(here.ravel(), source[key][11].ravel())
        np.testing.assert_array_equal(by_name[StructureName(1, 1, 1, 0)].positions, source["atXYZ"][0])
    assert len(PROPERTIES) == 42  # as the paper's abstract says


def test_a_set_knows_equilibria_displacements_and_graphs(original: Path, tmp_path: Path) -> None:
    out = tmp_path / "qm7x.npz"
    _, left_out = convert([original], out)
    whole = read_qm7x(out)
    assert not left_out and len(whole) == 24
    assert whole.displacement is not None and whole.equilibrium is not None
    assert whole.displacement.tolist() == list(range(8)) * 3
    assert whole.equilibrium.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    _, sizes = np.unique(whole.graphs, return_counts=True)
    assert sorted(sizes) == [8, 16]  # both stereoisomers of molecule 12 are one graph
    assert len(whole.equilibria()) == 3


def test_displacements_can_be_fewer_and_duplicates_left_out(original: Path, tmp_path: Path) -> None:
    listed = tmp_path / "DupMols.dat"
    listed.write_text("Geom-m1-i2-c1-opt\n\n")
    whole, _ = convert([original], tmp_path / "few.npz", read_duplicates(listed), displacements=2)
    assert whole.displacement is not None
    assert whole.displacement.tolist() == [0, 1, 2, 0, 1, 2]
    listed.write_text("no such name\n")
    with pytest.raises(UserError, match=r"DupMols.dat: not QM7-X's list"):
        read_duplicates(listed)


def test_a_split_separates_molecules_and_keeps_every_structure(original: Path, tmp_path: Path) -> None:
    convert([original], tmp_path / "a.npz")
    counts = split_sets([tmp_path / "a.npz", tmp_path / "a.npz"], tmp_path / "split", 1)
    parts = [read_qm7x(tmp_path / "split" / f"{name}.npz") for name in ("training", "test")]
    assert not set(parts[0].graphs) & set(parts[1].graphs)
    assert sum(len(part) for part in parts) == sum(n for _, _, n in counts.values()) == 48
    for name, part in zip(("training", "test"), parts, strict=True):
        equilibria = read_npz(tmp_path / "split" / f"{name}-equilibria.npz")
        assert equilibria.graphs is not None and set(equilibria.graphs) == set(part.graphs)
        assert len(equilibria) * 8 == len(part)
    with pytest.raises(UserError, match="neither part may be empty"):
        split_sets([tmp_path / "a.npz"], tmp_path / "split", 2)


def spoil_names(group: "h5py.Group") -> None:
    group.move("Geom-m1-i1-c1-d1", "Geom-m1-i1")


def spoil_forces(group: "h5py.Group") -> None:
    del group["Geom-m1-i1-c1-d1"]["totFOR"]
    group["Geom-m1-i1-c1-d1"]["totFOR"] = np.zeros((4, 3))


def spoil_energy(group: "h5py.Group") -> None:
    group["Geom-m1-i1-c1-d1"]["ePBE0+MBD"][...] = np.nan


def drop_labels(group: "h5py.Group") -> None:
    del group["Geom-m1-i1-c1-d1"]["totFOR"], group["Geom-m1-i1-c1-d1"]["ePBE0+MBD"]


def drop_positions(group: "h5py.Group") -> None:
    del group["Geom-m1-i1-c1-d1"]["atXYZ"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_labels, "lacks ePBE0+MBD, totFOR"),
        (drop_positions, "lacks atXYZ"),
        (spoil_forces, "totFOR has the shape (4, 3) for 18 atoms"),
        (spoil_energy, "ePBE0+MBD has values that are no numbers"),
        (spoil_names, "is not a structure's name"),
    ],
)
def test_one_bad_structure_is_one_row_and_the_rest_goes_on(
    change: Callable[["h5py.Group"], None], words: str, original: Path, tmp_path: Path
) -> None:
    whole, left_out = convert([edited(original, change)], tmp_path / "out.npz")
    assert len(whole) == 23
    (row,) = left_out
    assert isinstance(row, LeftOut)
    assert row.molecule == "12" and row.structure.startswith("Geom-m1-i1") and words in row.message


def test_files_that_are_no_files_say_so_in_one_sentence(original: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.hdf5"
    cut.write_bytes(original.read_bytes()[: original.stat().st_size // 2])
    packed = tmp_path / "8000.xz"
    packed.write_bytes(b"\xfd7zXZ")
    text = tmp_path / "text.hdf5"
    text.write_text("not found")
    cases = {
        cut: "cut short",
        packed: "cut short or damaged",
        text: "no HDF5",
        tmp_path / "none.hdf5": "no such",
    }
    for path, words in cases.items():
        with pytest.raises(UserError, match=words) as caught:
            convert([path], tmp_path / "out.npz")
        assert path.name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="unpack it first"):
        list(read_structures(packed))
    with pytest.raises(UserError, match="QM7-X has no property eCCSD"):
        list(read_structures(original, ("eCCSD",)))


def test_a_file_whose_inside_is_damaged_says_so(original: Path, tmp_path: Path) -> None:
    """The length is right and bytes in the middle are not, as after a bad transfer."""
    data = bytearray(original.read_bytes())
    middle = len(data) // 2
    for begin in range(middle, middle + 200_000, 2_000):
        data[begin : begin + 1_000] = b"\x00" * min(1_000, max(0, len(data) - begin))
    broken = tmp_path / "broken.hdf5"
    broken.write_bytes(bytes(data[: original.stat().st_size]))
    try:
        _, left_out = convert([broken], tmp_path / "out.npz")
        assert left_out
    except UserError as error:
        assert "broken.hdf5" in str(error) and "\n" not in str(error)


def test_names_of_readme_and_files() -> None:
    assert StructureName.read("Geom-m1-i2-c3-d45") == StructureName(1, 2, 3, 45)
    assert StructureName.read("Geom-m1-i2-c3-45").equilibrium == StructureName.read("Geom-m1-i2-c3-opt")
    assert StructureName.read("17-i1-c2-opt") == StructureName(17, 1, 2, 0)


def test_the_verbs_say_what_they_wrote_and_what_is_left_out(original: Path, tmp_path: Path) -> None:
    def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "prerelax", "data", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("qm7x", tmp_path / "a.npz", edited(original, drop_labels))
    assert done.returncode == 0
    assert done.stdout == "all: 23 structures, 3 equilibria, 2 molecular graphs\n1 structure left out\n"
    assert "8000.hdf5 12 Geom-m1-i1-c1-d1: lacks ePBE0+MBD, totFOR" in done.stderr
    done = run("split", tmp_path / "s", tmp_path / "a.npz", "--training", "50%")
    assert done.returncode == 0 and "1 molecular graphs" in done.stdout
    done = run("split", tmp_path / "s", tmp_path / "a.npz", "--training", "half")
    assert done.returncode == 2 and "not a number of graphs" in done.stderr
