"""YAML and npz files of whatever content: plain values, or one sentence that names the file."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prerelax.datasets.structures import read_npz
from prerelax.errors import UserError
from prerelax.molecules.input_files import count_rows, read_rows
from prerelax.reading import read_arrays, read_yaml, read_yaml_file

WHOLE: dict[str, Any] = {
    "ids": np.array([1, 2]),
    "n_atoms": np.array([3, 1]),
    "numbers": np.array([8, 1, 1, 2]),
    "positions": np.arange(12.0).reshape(4, 3),
}


def npz(path: Path, **changes: Any) -> Path:
    np.savez(path, **{name: value for name, value in (WHOLE | changes).items() if value is not None})
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"ids": np.array([1, 2, 3])},
        {"n_atoms": np.array([3.0, 1.0])},
        {"n_atoms": np.array([5, -1])},
        {"n_atoms": np.array([3, 2])},
        {"n_atoms": np.array([[3, 1]])},
        {"positions": np.zeros((4, 2))},
        {"positions": np.array([["x"] * 3] * 4)},
        {"numbers": np.array([8.5, 1, 1, 2])},
        {"numbers": None},
    ],
)
def test_an_npz_that_contradicts_itself_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = npz(tmp_path / "set.npz", **changes)
    for read in (read_npz, count_rows, lambda p: list(read_rows(p))):
        with pytest.raises(UserError, match=r"set\.npz"):
            read(path)


def test_elements_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 to 118"):
        read_npz(npz(tmp_path / "set.npz", numbers=np.array([8, 1, 1, 300])))


def test_a_whole_npz_is_read(tmp_path: Path) -> None:
    assert len(read_npz(npz(tmp_path / "set.npz"))) == 2
    assert [row.id for row in read_rows(tmp_path / "set.npz")] == ["1", "2"]


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = npz(tmp_path / "set.npz", more=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="not a whole npz"):
        read_arrays(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "the key a stands there twice"),
        ("a: {b: 1, b: 2}", "the key b stands there twice"),
        ("a: [", "not YAML"),
        ("[" * 4000, "not YAML"),
        ("a: !!python/object/apply:os.system ['true']", "not YAML"),
        ("&a [*a]", "more than"),
        ("? [1, {a: 2}]\n: 3", "not YAML"),
    ],
)
def test_yaml_that_nobody_means_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_yaml(text, "file.yaml")


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    text = io.StringIO()
    text.write("a: &a [x,x,x,x,x,x,x,x,x]\n")
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        text.write(f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n")
    with pytest.raises(UserError, match="stands for more than 1000000 values"):
        read_yaml(text.getvalue(), "file.yaml")


def test_merged_keys_and_aliases_are_plain_yaml() -> None:
    text = "base: &base {a: 1, b: 2}\nother: {<<: *base, b: 3}\n1: x\n"
    assert read_yaml(text, "file") == {"base": {"a": 1, "b": 2}, "other": {"a": 1, "b": 3}, 1: "x"}


def test_a_binary_or_missing_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(bytes(range(256)))
    for path in (tmp_path / "x.yaml", tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(UserError, match=str(path)):
            read_yaml_file(path)
