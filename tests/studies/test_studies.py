"""Paths, speedup over training and outlier from small results of the real file formats."""

from dataclasses import replace
from pathlib import Path

import ase.build
import numpy as np
import pytest

from prerelax.campaign.baseline import Baseline
from prerelax.comparison.comparison import comparison_of
from prerelax.comparison.figures.style import save_with_numbers
from prerelax.comparison.pairs import KCAL_MOL
from prerelax.errors import UserError
from prerelax.molecules.graph import mapped_smiles
from prerelax.molecules.perception import perceived_molecule
from prerelax.records.record import Record
from prerelax.records.shard import ShardError, write_frames, write_shard
from prerelax.studies.outlier.analysis import find_outlier, largest_turn
from prerelax.studies.outlier.figures import outlier
from prerelax.studies.paths.analysis import OWN, ZERO, read_paths, summarise_paths
from prerelax.studies.paths.figures import relaxation_paths
from prerelax.studies.training.analysis import last_epoch, training_speedup, with_epochs
from prerelax.studies.training.config import Checkpoint
from prerelax.studies.training.figures import training_speedup as draw_speedup

ETHANE = ase.build.molecule("C2H6")
SMILES = mapped_smiles(perceived_molecule(ETHANE.numbers, ETHANE.positions, 0, 1))


def relaxed(name: str, start: str, energy_kcal_mol: float, n_steps: int = 10, **changes: object) -> Record:
    record = Record(
        name,
        ETHANE.numbers.astype(np.int64),
        ETHANE.positions,
        SMILES,
        start=start,
        target="gfn2",
        converged=True,
        connectivity_unchanged=True,
        n_steps=n_steps,
        n_gradients=n_steps + 1,
        energy_ev=energy_kcal_mol * KCAL_MOL,
        start_energy_ev=(energy_kcal_mol + 3) * KCAL_MOL,
        start_positions=ETHANE.positions,
    )
    return replace(record, **changes)


def write_relaxed(results: Path, start: str, rows: list[Record]) -> None:
    write_shard(results / "relaxed/gfn2" / start / "0000.extxyz", rows)


def write_path(results: Path, start: str, energies: dict[str, list[float | None]]) -> None:
    """A path of each molecule with these energies in kcal/mol, None where there is none."""
    from ase.calculators.singlepoint import SinglePointCalculator

    frames = []
    for name, values in energies.items():
        for call, value in enumerate(values):
            status = "ok" if value is not None else "scf_failed"
            record = Record(
                name, ETHANE.numbers.astype(np.int64), ETHANE.positions, start=start, status=status
            )
            atoms = record.as_atoms()
            atoms.info["call"] = call
            if value is not None:
                forces = np.zeros((8, 3))
                atoms.calc = SinglePointCalculator(atoms, energy=value * KCAL_MOL, forces=forces)
            frames.append(atoms)
    path = results / "energies/gfn2" / start / "0000.extxyz"
    path.parent.mkdir(parents=True)
    write_frames(path, frames)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_path(
        tmp_path, "edm-n2", {"a": [12, 20, 5, 1], "b": [10, 9, 8, 3], "c": [9, None, 1, 1], "d": [1] * 4}
    )
    broken = relaxed("d", "edm-n2", 0, connectivity_unchanged=False)
    write_relaxed(tmp_path, "edm-n2", [relaxed("a", "edm-n2", 0), relaxed("b", "edm-n2", 1, 5), broken])
    of_zero = [relaxed(name, "rdkit", energy) for name, energy in (("a", -2), ("b", 0), ("d", 0))]
    write_relaxed(tmp_path, "rdkit", of_zero)
    write_relaxed(tmp_path, "mmff94", [relaxed(n, "mmff94", e) for n, e in (("a", 0.1), ("b", 0), ("d", 0))])
    return tmp_path


def test_paths_are_above_both_minima(results: Path) -> None:
    paths = read_paths(results, "gfn2", ["edm-n2"], "rdkit")
    assert paths.left_out == {"edm-n2": {"scf_failed": 1, f"{OWN}: connectivity changed": 1}}
    summary = summarise_paths(paths).set_index(["zero", "where"])["mean_kcal_mol"]
    assert summary[OWN, "start"] == pytest.approx((12 + 9) / 2)
    assert summary[OWN, "end"] == pytest.approx((1 + 2) / 2)
    assert summary[ZERO, "end"] == pytest.approx((3 + 3) / 2)
    assert paths.table["calls_left"].max() == 3
    figure, _ = relaxation_paths(paths, "gfn2")
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any("10.50" in text and "paper ~10" in text for text in words)


def test_missing_results_are_one_sentence(results: Path) -> None:
    with pytest.raises(ShardError, match="no relaxed shards"):
        read_paths(results, "gfn2", ["edm-n3"], None)


def test_speedup_over_training(results: Path, tmp_path: Path) -> None:
    rows = [relaxed("a", "late", 0.1, 5), relaxed("b", "late", 3, 1), relaxed("d", "late", 0, 8)]
    write_relaxed(results, "late", rows)
    skipped = [replace(row, status="skipped", converged=None, energy_ev=None) for row in rows]
    write_relaxed(results, "none", [replace(row, start_energy_ev=None, n_steps=None) for row in skipped])
    folders = [results / "relaxed/gfn2" / start for start in ("mmff94", "edm-n2", "late", "none")]
    checkpoints = {
        "edm-n2": Checkpoint(model="m", epoch=1, steps=20),
        "late": Checkpoint(model="m", epoch=4, steps=20),
        "none": Checkpoint(model="m", epoch=8, steps=20),
    }
    table = training_speedup(comparison_of(folders, Baseline(start="mmff94")), "mmff94", checkpoints)
    median = table.set_index(["epoch", "subset"])["steps_saved_percent_median"]
    assert median[4, "all"] == pytest.approx(50)
    assert median[4, "within 0.2 kcal/mol"] == pytest.approx((50 + 20) / 2)  # b ended 3 kcal/mol higher
    assert median[4, "within 0.2 eV"] == pytest.approx(50)
    assert np.isnan(median[8, "all"])
    assert table.set_index(["epoch", "subset"]).loc[(8, "all"), "left_out"] == "skipped"
    assert set(table["paper_percent"]) == {40.0}
    figure, data = draw_speedup(table)
    text = save_with_numbers(figure, data, table[["epoch", "subset"]], tmp_path / "figures/speedup")
    assert "within 0.2 kcal/mol" in text
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {
        f"speedup{end}" for end in (".pdf", ".png", ".csv", "_numbers.csv")
    }


def test_the_epoch_of_the_newest_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.yaml").write_text("training: {epochs: 12.5}\n")
    assert last_epoch(tmp_path) == 12.5
    checkpoints = {"given": Checkpoint(model="m", epoch=3), "newest": Checkpoint(model=tmp_path.name)}
    known = with_epochs(checkpoints, tmp_path.parent)
    assert [known[start].epoch for start in checkpoints] == [3, 12.5]
    with pytest.raises(UserError, match="says nothing"):
        last_epoch(tmp_path / "model")


def test_the_outlier_is_the_largest_delta(results: Path) -> None:
    turned = ETHANE.positions.copy()
    axis = turned[1] - turned[0]
    from scipy.spatial.transform import Rotation

    methyl = [i for i in range(2, 8) if np.linalg.norm(turned[i] - turned[0]) < 1.2]
    turn = Rotation.from_rotvec(np.deg2rad(60) * axis / np.linalg.norm(axis))
    turned[methyl] = turn.apply(turned[methyl] - turned[0]) + turned[0]
    rows = [relaxed("a", "late", 1.0), relaxed("b", "late", 2.7, positions=turned), relaxed("d", "late", 99)]
    write_relaxed(results, "late", [*rows[:2], replace(rows[2], converged=False)])
    found = find_outlier(results, "gfn2", ["edm-n2", "late"], "mmff94")
    assert found is not None
    assert (found.id, found.start, found.n_pairs) == ("b", "late", 4)
    assert found.delta_kcal_mol == pytest.approx(2.7)
    assert list(found.energies_kcal_mol.values()) == pytest.approx([0, 2.7, -3, -0.3])
    assert found.turned.startswith("largest turn 60°")
    figure, data = outlier(found, "gfn2", "mmff94")
    assert list(data["paper_kcal_mol"]) == [0.0, -3.0, -4.5, -5.4]
    assert len(figure.axes) == 4
    assert largest_turn(SMILES, ETHANE.positions, ETHANE.positions).startswith("largest turn 0°")
