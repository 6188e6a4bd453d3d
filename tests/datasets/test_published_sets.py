"""From the files as downloaded to the papers' sets, by the documented commands."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from prerelax.cli import app
from prerelax.datasets.left_out import graphs_of, labelled_without_tested, without_tested
from prerelax.datasets.qm7x import LabelledStructures, read_qm7x
from prerelax.datasets.structures import collect, joined, read_npz
from prerelax.errors import UserError
from prerelax.molecules.input_files import read_rows
from published_files import SMALL, write_geom, write_qm7x, write_qm9


def called(*words: str | Path) -> str:
    done = CliRunner().invoke(app, [str(word) for word in ("data", *words)])
    if done.exception:
        raise done.exception
    return done.output


@pytest.mark.parametrize(("paper", "most"), [("edm", "training"), ("morered", "test")])
def test_qm9_becomes_three_sets_in_random_order(paper: str, most: str, tmp_path: Path) -> None:
    write_qm9(tmp_path)
    files = (tmp_path / "dsgdb9nsd.xyz.tar.bz2", tmp_path / "uncharacterized.txt")
    said = called("qm9", tmp_path / "sets", *files, "--split", paper, "--limit", "30")
    parts = {name: read_npz(tmp_path / f"sets/{name}.npz") for name in ("training", "validation", "test")}
    assert max(parts, key=lambda name: len(parts[name])) == most and f"{most}.npz: " in said
    ids = np.concatenate([part.ids for part in parts.values()])
    assert sorted(ids) == [1, *range(3, len(SMALL) + 1)], "the inconsistent one is in none"
    assert list(parts[most].ids) != sorted(parts[most].ids)
    with pytest.raises(UserError, match="29 molecules pass the consistency check, not 130831"):
        called("qm9", tmp_path / "sets", *files, "--split", paper)


def test_qm7x_is_read_packed_and_split_by_graph(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="h5py is an extra")
    for name, part in (("1000.xz", SMALL[3:6]), ("2000.xz", SMALL[6:9])):
        write_qm7x(tmp_path / name, part)
    packed = sorted(tmp_path.glob("*.xz"))
    said = called("qm7x", tmp_path / "sets", *packed, "--training", "50%")
    assert "training: 15 structures, 3 equilibria, 3 molecular graphs" in said
    assert sorted(path.name for path in (tmp_path / "sets").iterdir()) == [
        "test-equilibria.npz",
        "test.npz",
        "training-equilibria.npz",
        "training.npz",
    ]
    sets = {name: read_qm7x(tmp_path / f"sets/{name}.npz") for name in ("training", "test")}
    assert not set(sets["training"].graphs) & set(sets["test"].graphs)
    assert len(read_npz(tmp_path / "sets/test-equilibria.npz")) == 3
    packed[0].write_bytes(packed[0].read_bytes()[:-100])
    with pytest.raises(UserError, match=r"1000\.xz: cut short or damaged"):
        called("qm7x", tmp_path / "whole.npz", packed[0])


def test_geom_is_read_from_its_archive_with_test_molecules_as_smiles(tmp_path: Path) -> None:
    pytest.importorskip("msgpack", reason="msgpack is an extra")
    archive = tmp_path / "drugs_crude.msgpack.tar.gz"
    write_geom(archive, SMALL[:12])
    called("geom", tmp_path / "geom.npz", archive, "--lowest", "2", "--test", "25%")
    training, test = read_npz(tmp_path / "geom.npz"), read_npz(tmp_path / "geom-test.npz")
    assert (len(training), len(test)) == (18, 6)
    rows = list(read_rows(tmp_path / "geom-test.smi"))
    assert {row.text for row in rows} <= set(SMALL[:12]) and len(rows) == 3
    assert {int(row.id) for row in rows} <= set(test.ids.tolist())
    for share in ("10", "0.2", "150%", "nan%", "-5%"):
        with pytest.raises(UserError, match=f"--test {share}: not a"):
            called("geom", tmp_path / "other.npz", archive, f"--test={share}")
    assert not (tmp_path / "other.npz").exists()
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(UserError, match="is cut off after"):
        called("geom", tmp_path / "geom.npz", archive)


def test_molecules_that_are_tested_are_left_out_by_graph(tmp_path: Path) -> None:
    """Whatever the order of the atoms, in sets with graphs and without, and of a list of SMILES."""
    write_qm9(tmp_path)
    files = (tmp_path / "dsgdb9nsd.xyz.tar.bz2", tmp_path / "uncharacterized.txt")
    called("qm9", tmp_path, *files, "--split", "morered", "--limit", "30")
    names = ("training", "validation", "test")
    whole = joined([read_npz(tmp_path / f"{name}.npz") for name in names])
    (tmp_path / "tested.smi").write_text("OCC\nCOC\n")
    tested = graphs_of([tmp_path / "tested.smi"])
    left = {SMALL[i - 1] for i in whole.ids} - {SMALL[i - 1] for i in without_tested(whole, tested).ids}
    assert left == {"CCO", "COC"}, "an alkane or an isomer stays"
    assert not len(without_tested(whole, graphs_of([tmp_path / f"{name}.npz" for name in names])))

    turned = collect((i, z[::-1], x[::-1]) for i, z, x in whole)
    assert len(without_tested(turned, tested)) == len(whole) - 2
    labelled = LabelledStructures(
        whole.n_atoms, whole.numbers, whole.positions, np.zeros(len(whole)), np.zeros_like(whole.positions)
    )
    # Without graphs everything of these elements goes: dimethyl ether and ethanol are isomers.
    assert len(labelled_without_tested(labelled, tested)) == len(whole) - 2
