"""RMSD, failures and energies of methods on inputs whose minimum is known, from shards written here."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator

from prerelax.comparison.figures.style import save
from prerelax.errors import UserError
from prerelax.molecules.molecule import read_molecules
from prerelax.records.shard import read_shard, write_frames, write_shard
from prerelax.starts.embed import embedded
from prerelax.studies.relaxation import figures as draw
from prerelax.studies.relaxation.cost_figures import by_size, seconds
from prerelax.studies.relaxation.drawings import chosen_inputs, drawings
from prerelax.studies.relaxation.energies import method_energies, summarise_energies
from prerelax.studies.relaxation.figures import curves, energies
from prerelax.studies.relaxation.table import counted, in_bins, left_out, relaxation_table, summarise_ratios
from prerelax.studies.relaxation.training_curves import training_curves

SMILES = {"a": "CCO", "b": "CC", "c": "CCN", "d": "C=O"}
FACTORS = {"good": 0.1, "bad": 1.5}
"""what the methods leave of a displacement"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four molecules, three displacements each; one molecule without a minimum, methods that fail in rows."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "m.csv").write_text("id,smiles\n" + "".join(f"{k},{v}\n" for k, v in SMILES.items()))
    minima = [next(embedded(molecule)) for molecule in read_molecules(folder / "m.csv")]
    minima[3] = replace(minima[3], status="scf_failed", message="no energy")
    rng = np.random.default_rng(0)
    given, ends = [], {name: [] for name in FACTORS}
    for minimum in minima:
        for place in range(3):
            shift = (0.05 + 0.1 * place) * rng.normal(size=minimum.positions.shape)
            settings = json.dumps({"steps": [40, 80, 120]})
            row = replace(minimum, conformer=place, start="displaced", settings=settings, n_gradients_cheap=7)
            row = replace(row, positions=minimum.positions + shift)
            given.append(row)
            for name, factor in FACTORS.items():
                end = replace(
                    row, positions=minimum.positions + factor * shift, wall_s=0.5, n_gradients_cheap=12
                )
                if name == "good":
                    end = replace(end, n_iterations=50, first_step=40 + 40 * place)
                ends[name].append(end)
    ends["good"][1] = replace(ends["good"][1], status="unsupported_element", message="knows H, C")
    ends["bad"].pop(2)
    write_shard(folder / "starts/minima/0000.extxyz", minima)
    write_shard(folder / "starts/displaced/0000.extxyz", given[:6])
    write_shard(folder / "starts/displaced/0001.extxyz", given[6:])
    for name, rows in ends.items():
        write_shard(folder / f"starts/{name}-displaced/0000.extxyz", rows[:6])
        write_shard(folder / f"starts/{name}-displaced/0001.extxyz", rows[6:])
    return folder


@pytest.fixture(scope="module")
def table(results: Path) -> pd.DataFrame:
    return relaxation_table(results, "minima", {"displaced": ["good", "bad"]})


def test_ratios_failures_and_what_is_left_out(table: pd.DataFrame) -> None:
    assert len(table) == 24 and len(counted(table)) == 17
    good = counted(table[table.method == "good"])
    assert good.ratio.dropna().to_numpy(float) == pytest.approx(0.1, rel=0.02)
    # Symmetric atoms matched or not, the nearer one is never farther.
    assert (good.rmsd_symmetry_before_ang <= good.rmsd_before_ang + 1e-12).all()
    assert left_out(table) == {"scf_failed": 3}
    summary = summarise_ratios(table).set_index("method")
    assert summary.loc["good", "failures_percent"] == pytest.approx(100 / 9)
    assert summary.loc["good", "without_result_percent"] == pytest.approx(100 / 9)
    assert summary.loc["bad", ["n", "failures_percent"]].tolist() == [8, 100]
    assert summary.loc["good", "iterations_median"] == 50
    assert summary.loc["bad", "iterations_median"] == 5  # gradients of the method alone
    absent = table[(table.method == "bad") & (table.status == "input_error")]
    assert absent.message.tolist() == ["the method's shard has no such row"]
    assert set(table.true_step.dropna()) == {40, 80, 120}


def test_a_start_that_was_not_made_is_one_sentence(results: Path) -> None:
    with pytest.raises(UserError, match="run the campaign's start other-displaced first"):
        relaxation_table(results, "minima", {"displaced": ["other"]})


@pytest.mark.parametrize("drawn", [draw.ratios, draw.start_steps, seconds, by_size])
def test_figures_are_drawn_from_what_there_is(
    table: pd.DataFrame, drawn: Callable[..., draw.Drawn], tmp_path: Path
) -> None:
    read = pd.read_csv(save_csv(table, tmp_path), dtype={"id": str})
    for rows in (read, read[read.rmsd_before_ang.isna()]):
        figure, data, numbers = drawn(rows, ["good", "bad", "never-run"])
        assert all(path.stat().st_size for path in save(figure, data, tmp_path, "figure"))
    assert isinstance(numbers, pd.DataFrame)


def save_csv(table: pd.DataFrame, folder: Path) -> Path:
    table.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def test_predicted_steps_correlate_with_rmsd(table: pd.DataFrame) -> None:
    numbers = draw.start_steps(table, ["good"])[2].iloc[0]
    assert numbers.n == 9 and 0.8 < numbers.pearson_r <= 1
    assert numbers.step_error_median == 0


def test_bins_hold_equally_many_inputs_and_the_spread_over_seeds(table: pd.DataFrame, tmp_path: Path) -> None:
    other = table[table.method == "good"].assign(method="good-seed1")
    other["rmsd_after_ang"] = other.rmsd_after_ang + 0.02
    rows = pd.concat([table, other], ignore_index=True)
    figure, data, numbers = draw.rmsd_in_bins(rows, ["good"], {"good": ["good-seed1"]})
    assert data.n.sum() == 8 and data.n.max() <= 2
    assert data.spread_ang.to_numpy(float) == pytest.approx(0.02 / np.sqrt(2))
    assert in_bins(counted(rows), ["good"], {}).spread_ang.isna().all()
    assert len(numbers) == 1 and all(p.exists() for p in save(figure, data, tmp_path, "bins"))
    assert len(figure.axes) == 2
    assert len(draw.rmsd_in_bins(rows, ["good"], {})[0].axes) == 1, "no panel for a spread that is not known"


def test_drawings_are_chosen_by_quantiles(results: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    spread = table.copy()
    good = spread.method == "good"
    spread.loc[good, "ratio"] = np.linspace(0.1, 1.2, int(good.sum()))
    chosen = chosen_inputs(spread, "displaced", "good")
    assert chosen["quantile"].tolist() == [0.1, 0.5, 0.9] and chosen.ratio.is_monotonic_increasing
    figure, data, _ = drawings(table, results, "minima", "displaced", ["good", "bad"], "good")
    assert len(figure.axes) == 12 and set(data.method) == {"good", "bad"}
    save(figure, data, tmp_path, "drawings")
    assert chosen_inputs(spread, "displaced", "never-run").empty


def test_energies_stand_above_the_minimum(results: Path, tmp_path: Path) -> None:
    for start, energy_ev in (("minima", -10.0), ("displaced", -9.0), ("good-displaced", -9.99)):
        for shard in sorted((results / f"starts/{start}").glob("*.extxyz")):
            frames = []
            for row in read_shard(shard):
                atoms = row.as_atoms()
                if row.id != "b":
                    calc = SinglePointCalculator(atoms, energy=energy_ev, forces=np.zeros((len(atoms), 3)))
                    atoms.calc = calc
                frames.append(atoms)
            write_frames(results / f"relaxation_energies/{start}/{shard.name}", frames)
    found = method_energies(results, "minima", "displaced", ["good"])
    known = found[found.method == "good"].set_index(["id", "conformer"])
    assert known.loc[("a", 0), "energy_kcal_mol"] == pytest.approx(0.01 * units.mol / units.kcal)
    assert (
        np.isnan(known.loc[("a", 1), "energy_kcal_mol"])
        and known.loc[("a", 1), "status"] == "unsupported_element"
    )
    assert known.loc[("b", 0), "energy_kcal_mol"] != known.loc[("b", 0), "energy_kcal_mol"]
    numbers = summarise_energies(found).set_index("method")
    assert (
        numbers.loc["good", "below_1_kcal_mol_percent"] == 100
        and numbers.loc["input", "median_kcal_mol"] > 20
    )
    figure, data, _ = energies(found, "DFT", "displaced")
    save(figure, data, tmp_path, "energies")
    with pytest.raises(UserError, match="run `prerelax energies`"):
        method_energies(results, "minima", "displaced", ["bad"])


def test_curves_of_a_resumed_training_and_of_one_without_logs(tmp_path: Path) -> None:
    for run, steps in (("000", [10, 20]), ("001", [20, 30])):
        folder = tmp_path / f"jt/logs/{run}"
        folder.mkdir(parents=True)
        rows = {"step": [*steps, 5], "train/loss": [None, None, 1.0]}
        rows |= {"validation/loss": [0.5, 0.4, None], "validation/current_loss": [0.7, 0.6, None]}
        pd.DataFrame(rows).to_csv(folder / "metrics.csv", index=False)
    table, absent = training_curves({"jt": tmp_path / "jt", "time": tmp_path / "time"})
    assert table.step.tolist() == [10, 20, 30] and list(absent) == ["time"]
    figure, data, numbers = curves(table, absent)
    assert numbers.current_loss_last.tolist() == [0.6]
    save(figure, data, tmp_path, "curves")
    assert curves(*training_curves({"time": tmp_path / "time"}))[1].empty
