"""A model folder that is broken, however it is broken, is one sentence that names its file."""

import pickle
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from prerelax.denoisers.checkpoint import load_model
from prerelax.denoisers.choosing import charges_known
from prerelax.denoisers.model_folders import CONFIG, SUMS, WEIGHTS, ModelError

Damage = Callable[[Path], object]


def said(**changes: object) -> Damage:
    def change(folder: Path) -> None:
        config = yaml.safe_load((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(yaml.safe_dump({**config, **changes}))

    return change


def text(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str, part: float) -> Damage:
    def change(folder: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(len(whole) * part)])

    return change


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(folder: Path) -> None:
        found = load_file(folder / WEIGHTS)
        change(found)
        save_file(found, folder / WEIGHTS)

    return damage


DAMAGES: dict[str, Damage] = {
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "empty weights": text(WEIGHTS, b""),
    "zero weights": text(WEIGHTS, bytes(4096)),
    "cut weights": cut(WEIGHTS, 0.6),
    "cut in the header": cut(WEIGHTS, 0.001),
    "pickle": text(WEIGHTS, pickle.dumps({"a": 1})),
    "folder for weights": lambda folder: ((folder / WEIGHTS).unlink(), (folder / WEIGHTS).mkdir()),
    "nan": tensors(lambda found: next(iter(found.values())).fill_(float("nan"))),
    "no tensors": tensors(lambda found: found.clear()),
    "one more": tensors(lambda found: found.update(more=torch.zeros(3))),
    "other shapes": tensors(lambda found: found.update({name: torch.zeros(1) for name in found})),
    "empty config": text(CONFIG, b""),
    "binary config": text(CONFIG, bytes(range(256))),
    "tag": text(CONFIG, b"network: !!python/object/apply:os.system ['true']\n"),
    "cut config": text(CONFIG, b"network: {name: egnn, n_layers: "),
    "a list": text(CONFIG, b"- 1\n- 2\n"),
    "network is text": said(network="egnn"),
    "stage is a number": said(network={"name": "staged", "stage": 3}),
    "charges are no list": said(knows={"charges": "all"}, network={"name": "egn"}),
    "network is unknown": said(network={"name": "egn"}),
    "option is unknown": said(network={"name": "egnn", "layers": 3}),
    "option of another type": said(network={"name": "egnn", "n_layers": "many"}),
    "option is negative": said(network={"name": "egnn", "n_layers": -1}),
    "schedule is text": said(schedule="cosine"),
    "schedule is unknown": said(schedule={"kind": "cosine"}),
    "schedule of no steps": said(schedule={"kind": "polynomial", "timesteps": "all"}),
    "sampler is text": said(sampler="edm"),
    "key twice": text(CONFIG, b"network: {name: egnn}\nnetwork: {name: painn}\n"),
    "bomb": text(CONFIG, b"a: &a [1,1,1,1,1,1,1,1,1]\n" + b"".join(
        b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("k"))
    )),
    "deep": text(CONFIG, b"[" * 5000),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("with_sums", [False, True])
def test_a_broken_folder_is_one_sentence(
    tmp_path: Path, repository: Path, damage: str, with_sums: bool
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(repository / "models/edm-qm9-small", folder)
    DAMAGES[damage](folder)
    if not with_sums:
        (folder / SUMS).unlink()
    with pytest.raises(ModelError, match=f"{folder}") as refused:
        load_model(folder)
    assert "\n" not in str(refused.value)
    # What is asked of a model before it is loaded meets the same config.
    with suppress(ModelError):
        charges_known(str(folder))


def test_a_changed_weight_or_option_is_noticed(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(repository / "models/edm-qm9-small", folder)
    load_model(folder)
    for name in (WEIGHTS, CONFIG):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
        with pytest.raises(ModelError, match=f"{name}: not as it was saved"):
            load_model(folder)
        (folder / name).write_bytes(whole)


def test_shipped_models_are_as_they_were_saved(repository: Path) -> None:
    folders = [path.parent for path in (repository / "models").rglob(CONFIG)]
    assert folders
    for folder in folders:
        load_model(folder)
