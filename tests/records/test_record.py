"""The row's fields, declared once: what tables have of them stays as files written before have it."""

import json

import numpy as np
import pyarrow as pa

from prerelax.records.record import COLUMNS, TABLE_SCHEMA, Record, as_table

AS_WRITTEN = """id string, smiles string, charge int32, multiplicity int32, conformer int32,
input_smiles string, input_columns string, isomer string, constraints string, start string,
status string, message string, wall_s double, stages_s string, n_gradients_cheap int64,
gradients_of_levels string, cheap_energy_ev double, fallback string,
residual_ang double, denoised_energy_left_kcal_mol double, n_iterations int64, first_step int64,
target string, converged bool, n_gradients int64,
n_steps int64, energy_ev double, start_energy_ev double, fmax_ev_ang double, connectivity_unchanged bool,
stereo_unchanged bool,
rmsd_ang double, rmsd_symmetry_ang double, n_gradients_check int64, n_imaginary int64,
lowest_frequency_cm double, zero_point_ev double, enthalpy_298_ev double, gibbs_298_ev double,
symmetry_number int64,
settings string, start_settings string, energy_left_kcal_mol double, meets string,
start_energy_left_kcal_mol double, start_meets string, n_atoms int32"""
"""Columns and types of the tables; older ones lack those from `start_settings` on, and some before it."""


def test_tables_have_the_columns_that_they_had() -> None:
    columns = [f"{column.name} {column.type}" for column in TABLE_SCHEMA]
    assert columns == [each.strip() for each in AS_WRITTEN.replace("\n", " ").split(",")]
    assert TABLE_SCHEMA.metadata is None


def test_every_scalar_is_a_column_with_a_meaning() -> None:
    record = Record("a", numbers=np.array([1, 1]), stages_s={"rdkit": 0.1})
    assert list(record.scalars()) == list(COLUMNS)
    assert all(column.description for column in COLUMNS.values())
    for name, unit in {"energy_ev": "eV", "wall_s": "s", "rmsd_ang": "Å", "fmax_ev_ang": "eV/Å"}.items():
        assert COLUMNS[name].unit == unit
    table = as_table([record])
    assert table.schema.equals(TABLE_SCHEMA) and isinstance(table, pa.Table)
    row = table.to_pylist()[0]
    assert json.loads(row["stages_s"]) == {"rdkit": 0.1} and row["n_atoms"] == 2
