"""Files made to do harm: a few bytes that stand for millions of values, and values that nothing can mean."""

import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_fuzz import mutated

from prerelax.campaign.stages import read_campaign
from prerelax.datasets.geom import geom_structures
from prerelax.datasets.qm7x_hdf5 import convert
from prerelax.errors import UserError
from prerelax.reading import read_yaml

h5py = pytest.importorskip("h5py", reason="h5py is an extra")
msgpack = pytest.importorskip("msgpack", reason="msgpack is an extra")

SEED = 11
Times = Callable[[int], int]


def of_aliases(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


def of_merges(levels: int, width: int) -> str:
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * width)}]}}" for n in range(1, levels)]
    return "\n".join(lines)


BOMBS = {
    "aliases": of_aliases(30, 10),
    "merges": of_merges(12, 10),
    "in itself": "&a [*a]",
    "merged into itself": "a: &a {<<: *a}",
    "deep lists": "[" * 100_000,
    "deep mappings": "".join(" " * depth + "a:\n" for depth in range(2000)),
    "digits": "a: " + "9" * 1_000_000,
    "hexadecimal": "a: 0x" + "f" * 10_000,
    "sexagesimal": "a: 1" + ":59" * 10_000,
    "a tag": "!!python/object/apply:os.system ['touch run']",
    "a zero byte": 'a: "\\0"',
    "half a pair": 'a: "\\ud800"',
    "no such day": "2001-99-99",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_yaml_bomb_is_one_sentence_at_once(name: str) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(UserError) as refused:
        read_yaml(BOMBS[name], "c.yaml")
    assert str(refused.value).startswith("c.yaml ") and "\n" not in str(refused.value)
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


VALUES = [
    *(
        "0xf" + "f" * 6000,
        "2001-01-01",
        "2001-01-01t01:01:01Z",
        "!!binary aGk=",
        "!!set {a, b}",
        "!!omap [a: 1]",
    ),
    *(
        ".nan",
        ".inf",
        "-.inf",
        "1e400",
        "[1, 2]",
        "{1: 2}",
        "{2001-01-01: 2}",
        "{null: 2}",
        "{!!binary aGk=: 2}",
    ),
    *("~", "''", "yes", '"\\ud800"', '"\\0"', "1:59:59", "'../../x'", "'a/b'", f"'{'a' * 300}'", "!!float 1"),
]
PLACES = [
    *(
        "campaign",
        "molecules",
        "shard_size",
        "seed",
        "conformers",
        "baseline",
        "compare",
        "practice",
        "extends",
    ),
    *("starts", "targets", "denoisers", "sets", "studies", "starts.a", "targets.a", "starts.a.model"),
    *("targets.a.method", "targets.a.fmax"),
]


def config_with(place: str, value: str) -> str:
    keys = place.split(".")
    if keys == ["starts", "a", "model"]:
        value = f"{{kind: diffuse, model: {value}}}"
    elif keys[:2] == ["targets", "a"] and keys[2:]:
        method = "" if keys[2] == "method" else "method: GFN1-xTB, "
        value = f"{{engine: tblite, {method}{keys[2]}: {value}}}"
    said = {"campaign": "c", "molecules": "m.csv", keys[0]: f"{{a: {value}}}" if keys[1:] else value}
    return "".join(f"{key}: {each}\n" for key, each in said.items())


@pytest.mark.parametrize("place", PLACES)
def test_values_of_any_kind_are_taken_or_refused_in_a_sentence(tmp_path: Path, place: str) -> None:
    path = tmp_path / "c.yaml"
    for value in VALUES:
        path.write_text(config_with(place, value))
        try:
            read_campaign(path)
        except UserError as error:
            assert "\n" not in str(error)


def crude() -> bytes:
    xyz = [[8.0, 0.0, 0.0, 0.12], [1.0, 0.0, 0.76, -0.48], [1.0, 0.0, -0.76, -0.48]]
    molecule = {"conformers": [{"totalenergy": -1.0 - k, "xyz": xyz} for k in range(3)]}
    packed: bytes = msgpack.packb({f"O{k}": molecule for k in range(3)})
    return packed


COUNTS = [bytes([kind]) + b"\xff\xff\xff\xff" for kind in (0xDD, 0xDF, 0xDB, 0xC6, 0xC9)]
"""Heads of arrays, maps, texts, bytes and extensions with four thousand million parts."""
DEEP = [b"\x91" * 100_000, b"\x81\xa1a" * 100_000]


@pytest.mark.slow
def test_msgpack_of_any_kind_is_read_or_refused_in_a_sentence(
    tmp_path: Path, times: Times, capsys: pytest.CaptureFixture[str]
) -> None:
    choose, whole, path = random.Random(SEED), crude(), tmp_path / "crude.msgpack"
    path.write_bytes(whole)
    assert len(geom_structures(path).structures) == 9
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bombs = [whole[:at] + bomb for bomb in (*COUNTS, *DEEP) for at in (0, 1, len(whole) // 2)]
    tries = bombs + [mutated(whole, choose) for _ in range(times(300))]
    refused = sum(is_refused(geom_structures, path, content) for content in tries)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000, "kilobytes"
    with capsys.disabled():
        print(f"\nMessagePack, seed {SEED}: {refused} of {len(tries)} refused")


def published(path: Path) -> bytes:
    with h5py.File(path, "w") as file:
        for molecule in range(1, 4):
            for name in ("opt", "d1", "d2"):
                group = file.create_group(f"{molecule}/Geom-m{molecule}-i1-c1-{name}")
                group["atNUM"] = np.array([8, 1, 1])
                group["atXYZ"] = np.random.default_rng(0).normal(size=(3, 3))
                group["ePBE0+MBD"] = np.array([-1.0])
                group["totFOR"] = np.zeros((3, 3))
    return path.read_bytes()


@pytest.mark.slow
def test_hdf5_of_any_kind_is_read_or_refused_in_a_sentence(
    tmp_path: Path, times: Times, capsys: pytest.CaptureFixture[str]
) -> None:
    choose, path = random.Random(SEED), tmp_path / "1000.hdf5"
    whole = published(path)
    tries = [mutated(whole, choose) for _ in range(times(300))]

    def read(path: Path) -> object:
        return convert([path], tmp_path / "out.npz")

    refused = sum(is_refused(read, path, content) for content in tries)
    with capsys.disabled():
        print(f"\nHDF5, seed {SEED}: {refused} of {len(tries)} refused")


def is_refused(read: Callable[[Path], object], path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    try:
        read(path)
    except UserError as error:
        assert "\n" not in str(error)
        return True
    return False


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("atXYZ", (10**10, 3), "atXYZ has 30000000000 values, which is no molecule's"),
        ("atNUM", (10**12,), "atNUM has 1000000000000 values, which is no molecule's"),
        ("atXYZ", np.full((3, 3), 1e300), "atXYZ has values that are no numbers"),
        ("totFOR", None, "totFOR"),
    ],
)
def test_a_few_bytes_that_stand_for_terabytes_are_one_structure_left_out(
    tmp_path: Path, key: str, value: Any, words: str
) -> None:
    path = tmp_path / "1000.hdf5"
    published(path)
    with h5py.File(path, "a") as file:
        group = file["1/Geom-m1-i1-c1-d1"]
        del group[key]
        if value is None:
            group.create_group(key)
        elif isinstance(value, tuple):
            group.create_dataset(key, value, chunks=True, dtype="f8")
        else:
            group[key] = value
    structures, (left_out,) = convert([path], tmp_path / "out.npz")
    assert len(structures) == 8 and words in left_out.message
