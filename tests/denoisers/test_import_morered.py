"""Import of MoreRed's `.pt`: the same numbers, and nothing in a crafted file is ever run."""

import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prerelax.denoisers.checkpoint import load_model
from prerelax.denoisers.import_morered import NotMoreRedError, import_morered, read_morered
from prerelax.diffusion.morered import sampler_of
from prerelax.errors import UserError
from prerelax.networks.morered import JointNetwork, NoiseNetwork, TimeNetwork

OUR_NAMES = (
    ("output_modules.0.time_outnet.", "time_head."),
    ("output_modules.1.outnet.", "noise_head.outnet."),
    ("output_modules.0.outnet.", "noise_head.outnet."),
)
KINDS = {"jt": JointNetwork, "ddpm": NoiseNetwork, "time": TimeNetwork}


@pytest.mark.parametrize("kind", KINDS)
def test_golden_import_has_the_numbers_of_the_state(kind: str, golden_folder: Path, tmp_path: Path) -> None:
    import_morered(golden_folder / f"morered_{kind}.pt", tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert type(model.network) is KINDS[kind]
    ours = model.network.state_dict()
    state = np.load(golden_folder / "morered.npz")
    found = set()
    for key in (k for k in state.files if k.startswith(f"{kind}/state/")):
        name = key.removeprefix(f"{kind}/state/")
        if name == "representation.cutoff_fn.cutoff":
            assert model.config["network"]["cutoff"] == pytest.approx(float(state[key][0]))
            continue
        if name.startswith("output_modules.1.time_outnet."):  # the time head again, shared
            name = name.replace("output_modules.1.time_outnet.", "output_modules.0.")
        for theirs, mine in OUR_NAMES:
            name = name.replace(theirs, mine)
        found.add(name)
        np.testing.assert_array_equal(ours[name].numpy(), state[key])
    assert found == set(ours)
    assert (tmp_path / "model" / "card.md").read_text().startswith("# morered-")


def test_imported_pair_serves_as_and_itp(golden_folder: Path, tmp_path: Path) -> None:
    import_morered(golden_folder / "morered_ddpm.pt", tmp_path / "pair", elements=(1, 6, 7, 8, 16))
    with pytest.raises(UserError, match="no model in"):
        sampler_of(load_model(tmp_path / "pair"), "as")
    import_morered(golden_folder / "morered_time.pt", tmp_path / "pair" / "time")
    for name in ("as", "itp"):
        assert sampler_of(load_model(tmp_path / "pair"), name).elements == (1, 6, 7, 8)
    with pytest.raises(ValueError, match="joint model"):
        sampler_of(load_model(tmp_path / "pair"), "jt")


class Shell:
    """Pickles as a call of os.system."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def opcodes(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def archive(path: Path, data: bytes, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("evil/data.pkl", data)
        for name, content in entries.items():
            made.writestr(f"evil/data/{name.removeprefix('storage')}", content)
    return path


def payloads(marker: Path) -> dict[str, bytes]:
    touch = f"touch {marker}"
    code = f"__import__('os').system({touch!r})"
    return {
        "reduce": pickle.dumps(Shell(marker), protocol=2),
        "reduce, protocol 4": pickle.dumps(Shell(marker), protocol=4),
        "eval": opcodes("cbuiltins", "eval", f"(S{code!r}", "tR."),
        "exec under its old name": opcodes("c__builtin__", "eval", f"(S{code!r}", "tR."),
        "inst": opcodes("(S" + repr(touch), "ios", "system", "."),
        "obj": opcodes("(cos", "system", f"S{touch!r}", "o."),
        "in a dictionary": pickle.dumps({"representation": Shell(marker)}, protocol=2),
        "subprocess": opcodes("csubprocess", "check_output", "((lS'touch'", f"aS{str(marker)!r}", "atR."),
    }


@pytest.mark.parametrize("name", payloads(Path("x")))
def test_crafted_file_is_refused_and_runs_nothing(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    data = payloads(marker)[name]
    # The payload is real: unpickled as usual, in a process of its own, it does run.
    subprocess.run(
        [sys.executable, "-c", "import pickle, sys; pickle.load(sys.stdin.buffer)"], input=data, check=False
    )
    assert marker.exists()
    marker.unlink()
    with pytest.raises(NotMoreRedError, match=r"no MoreRed model does|nothing in it was run"):
        import_morered(archive(tmp_path / "evil.pt", data), tmp_path / "out")
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


def test_golden_file_with_a_payload_slipped_in_is_refused(golden_folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    source = golden_folder / "morered_jt.pt"
    call = opcodes("cos", "system", f"(S{f'touch {marker}'!r}", "tR0")
    path = tmp_path / "patched.pt"
    with zipfile.ZipFile(source) as original, zipfile.ZipFile(path, "w") as patched:
        for entry in original.namelist():
            content = original.read(entry)
            if entry.endswith("data.pkl"):
                content = content[:2] + call + content[2:]  # after the protocol
                assert b"os\nsystem" in content
            patched.writestr(entry, content)
    with pytest.raises(NotMoreRedError, match=r"os\.system"):
        read_morered(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "data",
    [
        opcodes("ctorch.hub", "load", "(S'x'", "tR."),
        opcodes("ctorch", "load", "(S'/etc/hostname'", "tR."),
        opcodes("cmorered.anything", "run", "(tR."),
    ],
)
def test_calls_of_known_packages_are_refused_too(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotMoreRedError, match="would call"):
        read_morered(archive(tmp_path / "evil.pt", data))


def test_altering_our_functions_is_refused(tmp_path: Path) -> None:
    data = opcodes("ctorch._utils", "_rebuild_tensor_v2", "}S'__defaults__'", "Nsb.")
    with pytest.raises(NotMoreRedError, match="would change a function"):
        read_morered(archive(tmp_path / "evil.pt", data))


def test_tensor_larger_than_its_storage_is_refused(tmp_path: Path) -> None:
    pickled = io.BytesIO()

    class Storage:
        pass

    class Huge:
        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, (Storage(), 0, (10**6, 10**6), (0, 0), False, {})

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", 4) if isinstance(obj, Storage) else None

    Pickler(pickled, protocol=2).dump(Huge())
    with pytest.raises(NotMoreRedError, match="larger than its storage"):
        read_morered(archive(tmp_path / "evil.pt", pickled.getvalue(), storage0=bytes(16)))


@pytest.mark.parametrize("thing", [torch.nn.Linear(3, 3), {"weight": torch.ones(3)}, [1, 2]])
def test_other_things_that_torch_saves_are_refused(thing: Any, tmp_path: Path) -> None:
    torch.save(thing, tmp_path / "other.pt")
    with pytest.raises(NotMoreRedError, match="not a SchNetPack model"):
        read_morered(tmp_path / "other.pt")


def test_files_that_are_no_archives_are_refused(golden_folder: Path, tmp_path: Path) -> None:
    whole = (golden_folder / "morered_jt.pt").read_bytes()
    for name, content in (("text", b"hello"), ("empty", b""), ("truncated", whole[: len(whole) // 2])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(NotMoreRedError, match="not a zip archive"):
            read_morered(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "zip", "w") as made:
        made.writestr("readme.txt", "hello")
    with pytest.raises(NotMoreRedError, match=r"not an archive written by torch\.save"):
        read_morered(tmp_path / "zip")
    with pytest.raises(UserError, match="no file"):
        read_morered(tmp_path / "absent.pt")


def test_golden_file_with_a_missing_or_short_storage_is_refused(golden_folder: Path, tmp_path: Path) -> None:
    for change in ("missing", "short"):
        path = tmp_path / f"{change}.pt"
        with (
            zipfile.ZipFile(golden_folder / "morered_time.pt") as original,
            zipfile.ZipFile(path, "w") as made,
        ):
            for entry in original.namelist():
                content = original.read(entry)
                if entry.endswith("/data/10"):
                    if change == "missing":
                        continue
                    content = content[:-4]
                made.writestr(entry, content)
        with pytest.raises(NotMoreRedError, match=r"refused|cannot be read"):
            read_morered(path)
