"""Files that extend others."""

from pathlib import Path

import pytest

from prerelax.errors import UserError
from prerelax.settings import read_settings


def test_the_nearer_file_goes_before_what_it_extends(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("n: {x: 1, y: 2, z: {deep: 1}}\nlist: [1, 2]\ngone: 1\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\nn: {y: 3, z: {more: 2}}\nlist: [3]\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below/c.yaml").write_text("extends: ../b.yaml\nn: {x: null}\ngone: null\nown: null\n")
    assert read_settings(tmp_path / "below/c.yaml") == {
        "n": {"y": 3, "z": {"deep": 1, "more": 2}},
        "list": [3],
    }


def test_a_mapping_within_a_file_extends_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1\ny: 2\n")
    (tmp_path / "b.yaml").write_text("part: {extends: a.yaml, y: 3}\n")
    assert read_settings(tmp_path / "b.yaml") == {"part": {"x": 1, "y": 3}}


def test_a_mapping_extends_another_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1\ny: {z: 1}\n")
    (tmp_path / "b.yaml").write_text(
        "parts:\n  third: {extends: second, y: {w: 3}}\n  first: {extends: a.yaml}\n"
        "  second: {extends: first, x: null}\n"
    )
    parts = read_settings(tmp_path / "b.yaml")["parts"]
    assert parts["third"] == {"y": {"z": 1, "w": 3}}
    assert parts["second"] == {"y": {"z": 1}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("extends: b.yaml", r"b\.yaml extends .*b\.yaml: nothing can extend itself"),
        ("extends: c.yaml", r"c\.yaml, which .*b\.yaml extends, cannot be read: No such file"),
        ("a: {extends: b}\nb: {extends: a}", r"a extends b extends a: nothing can extend itself"),
        ("extends: [a.yaml]", r"extends must be the path of one YAML file, not \['a\.yaml'\]"),
        ("extends: $NOWHERE/a.yaml", "NOWHERE is not set"),
        ("- extends", "must be a mapping of keys, not a list"),
    ],
)
def test_what_cannot_be_extended_is_one_sentence(
    content: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    (tmp_path / "b.yaml").write_text(content)
    with pytest.raises(UserError, match=sentence) as caught:
        read_settings(tmp_path / "b.yaml")
    assert "\n" not in str(caught.value)


def test_a_circle_of_files_is_named_in_full(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml")
    (tmp_path / "b.yaml").write_text("extends: a.yaml")
    with pytest.raises(UserError, match=r"a\.yaml extends .*b\.yaml extends .*a\.yaml: nothing can"):
        read_settings(tmp_path / "a.yaml")
