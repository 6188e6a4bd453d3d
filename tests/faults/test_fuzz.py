"""Every reader is fed with damaged files: a value or one sentence, never a traceback."""

import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from prerelax import cli
from prerelax.campaign.stages import read_campaign
from prerelax.datasets.qm7x import read_qm7x
from prerelax.datasets.structures import read_npz, read_xyz
from prerelax.denoisers.checkpoint import load_model
from prerelax.errors import UserError
from prerelax.molecules.molecule import read_molecules
from prerelax.records.shard import read_shard
from prerelax.relaxation.journal import Journal
from prerelax.relaxation.worker import kept_result

SEED = 7
Times = Callable[[int], int]
Read = Callable[[Path], object]

SDF = """water

  made
  3  2  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.1200 O   0  0
    0.0000    0.7600   -0.4800 H   0  0
    0.0000   -0.7600   -0.4800 H   0  0
  1  2  1  0
  1  3  1  0
M  END
> <id>
w

$$$$
"""
XYZ = "3\nid=w charge=0\nO 0 0 0.12\nH 0 0.76 -0.48\nH 0 -0.76 -0.48\n" * 2
VALUES = [b"-1", b"0", b"1e999", b"nan", b"9" * 20, b"2.5", b"", b"true", b"null", b"[]", b"{}"]
MARKS = [b"\0", b'"', b"\\", b"'", b"\n", b"\xff\xfe", b":", b"&a *a"]


def mutated(content: bytes, choose: random.Random) -> bytes:
    """The content with one to three faults of any kind."""
    for _ in range(choose.randint(1, 3)):
        at = choose.randrange(len(content) + 1)
        length = choose.choice([1, 2, 8, 64, 512])
        match choose.randrange(8):
            case 0:
                content = content[:at]
            case 1:
                content = content[:at] + content[at + length :]
            case 2:
                content = content[:at] + choose.randbytes(length) + content[at + length :]
            case 3:
                content = content[:at] + content[at : at + length] * 3 + content[at + length :]
            case 4 if content[at : at + 1]:
                content = content[:at] + bytes([content[at] ^ 1 << choose.randrange(8)]) + content[at + 1 :]
            case 5:
                content = content[:at] + choose.choice(VALUES) + content[at + length :]
            case 6:
                content = content[:at] + choose.choice(MARKS) + content[at:]
            case 7:
                content = content.replace(b"\n", choose.choice([b"\r\n", b"\r", b"\n\n", b""]), length)
    return content


def molecules(path: Path) -> object:
    return read_molecules(path, slice(0, 5))


def npz(path: Path, **arrays: object) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]


def journal(path: Path) -> object:
    with Journal(path, 0.0) as opened:
        return [kept_result(line, 6) for line in opened.entries().values()], opened.kills()


def shard(path: Path) -> object:
    return read_shard(path.with_suffix(".extxyz"))


@pytest.fixture
def files(folder: Path, repository: Path) -> list[tuple[Path, Read]]:
    shutil.copytree(repository / "models/edm-qm9-small", "model")
    Path("model/SHA256SUMS").unlink()
    for name, content in {
        "m.sdf": SDF,
        "m.xyz": XYZ,
        "m.extxyz": XYZ,
        "m.smi": "CO methanol\nCC ethane\n",
    }.items():
        Path(name).write_text(content)
    atoms = {"numbers": np.array([8, 1, 1, 2]), "positions": np.arange(12.0).reshape(4, 3)}
    npz(Path("m.npz"), ids=np.array([1, 2]), n_atoms=np.array([3, 1]), **atoms)
    npz(Path("q.npz"), z=np.ones((3, 2), int), R=np.ones((3, 2, 3)), E=np.zeros(3), F=np.zeros((3, 2, 3)))
    Path("c.yaml").write_text(yaml.safe_dump(yaml.safe_load(Path("results/c/campaign.yaml").read_text())))
    made = sorted(Path("results/c/relaxed/gfn1/mmff94").glob("0000.*"))
    unsealed = Path("unsealed.extxyz")
    shutil.copy(made[0], unsealed)
    shards: list[tuple[Path, Read]] = [(unsealed, read_shard)]
    for path in made:
        shards.append((path, journal if path.suffix == ".jsonl" else shard))
    return [
        (Path("molecules.csv"), molecules),
        *((Path(f"m.{kind}"), molecules) for kind in ("sdf", "xyz", "extxyz", "smi", "npz")),
        (Path("m.npz"), read_npz),
        (Path("m.xyz"), read_xyz),
        (Path("q.npz"), read_qm7x),
        (Path("c.yaml"), read_campaign),
        (Path("model/config.yaml"), lambda path: load_model(path.parent)),
        (Path("model/weights.safetensors"), lambda path: load_model(path.parent)),
        *shards,
    ]


@pytest.mark.slow
def test_no_reader_ends_in_a_traceback(
    files: list[tuple[Path, Read]], times: Times, capsys: pytest.CaptureFixture[str]
) -> None:
    choose = random.Random(SEED)
    refused = taken = 0
    escaped: list[str] = []
    for _ in range(times(3000)):
        path, read = choose.choice(files)
        whole = path.read_bytes()
        path.write_bytes(mutated(whole, choose))
        try:
            read(path)
            taken += 1
        except UserError as error:
            assert "\n" not in str(error), str(error)
            refused += 1
        except Exception as error:  # what a user would see as a traceback
            escaped.append(f"{path}: {type(error).__name__}: {error}")
        path.write_bytes(whole)
        path.with_suffix(".refused").unlink(missing_ok=True)
    with capsys.disabled():
        print(f"\nfuzzed files, seed {SEED}: {refused} refused, {taken} taken, {len(escaped)} tracebacks")
    assert escaped == [], "\n".join(escaped)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["status", "plan", "verify"])
def test_no_verb_ends_in_a_traceback(
    folder: Path, verb: str, times: Times, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Damaged results, looked at by the verbs that look at all of them."""
    choose = random.Random(SEED + 1)
    shutil.copy("results/c/campaign.yaml", "c.yaml")
    (folder / "results/c/plan.json").write_text(
        '{"longest_minutes": 60, "minutes": {"relaxed/gfn1/uff": [1]}}'
    )
    files = [path for path in Path("results").rglob("*") if path.is_file()]
    monkeypatch.setattr(sys, "argv", ["prerelax", verb, "c.yaml", *(["0"] if verb == "verify" else [])])
    for _ in range(times(60)):
        path = choose.choice(files)
        whole = path.read_bytes()
        path.write_bytes(mutated(whole, choose))
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code in (0, 1, 2), path
        path.write_bytes(whole)
        path.with_suffix(".refused").unlink(missing_ok=True)
        capsys.readouterr()
