"""Places of the reference data, shared by every test."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

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


@pytest.fixture(autouse=True)
def _leaves_the_working_directory() -> Iterator[None]:
    """A test that leaves its worker in another folder breaks whichever test comes next there."""
    before = Path.cwd()
    yield
    assert Path.cwd() == before


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real structures: QM9, QM7, drug-like molecules, Baker's set."""
    return _reference_folder("PRERELAX_DATA", "../shared/data")


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Numbers from the original implementations."""
    return _reference_folder("PRERELAX_GOLDEN", "../shared/golden")


@pytest.fixture(scope="session")
def cases_folder() -> Path:
    """Inputs that once went wrong; its README says what is right."""
    return _reference_folder("PRERELAX_CASES", "../shared/cases")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def in_engine_process() -> Iterator[Callable[..., Any]]:
    """Calls a function in a process of its own, for QM engines never share one with torch."""
    variables = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pool.submit(os.getpid).result()  # started while the variables hold
            yield lambda function, *arguments: pool.submit(function, *arguments).result()
