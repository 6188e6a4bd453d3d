"""Places of the reference data, shared by every test."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _reference_folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable, default))
    folder = folder if folder.is_absolute() else REPOSITORY / folder
    if not folder.is_dir():
        pytest.skip(
            f"{variable} is not set and {default} is absent: reference data is not part of the project"
        )
    return folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real structures: QM9, QM7, drug-like molecules, Baker's set."""
    return _reference_folder("PRERELAX_DATA", "../shared/data")


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Numbers from the original implementations."""
    return _reference_folder("PRERELAX_GOLDEN", "../shared/golden")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY
