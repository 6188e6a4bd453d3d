"""Import of MoreRed's published models: whole modules, pickled by torch.save.

Unpickling such a file would import and run whatever it names. Here every name becomes an inert stand-in, only
names that MoreRed models contain are accepted at all, and tensors are read from the archive by ourselves.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypedDict, TypeGuard

import torch
from torch import Tensor, nn

from prerelax.errors import UserError
from prerelax.networks import build_network
from prerelax.networks.painn import N_EMBEDDED_ELEMENTS

LARGEST_ARCHIVE_BYTES = 1_000_000_000
"""Published models have about 10 MB; an archive that claims more than this is not read."""

ELEMENTS = (1, 6, 7, 8)
"""What both published training sets (QM7-X and QM9) contain; the files do not say."""

_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_PACKAGES = ("torch", "schnetpack", "morered")
"""Names from these become stand-ins that can be instantiated, not called."""
_CALLED = {
    "builtins.set",
    "builtins.frozenset",
    "torch.device",
    "torch.Size",
    "functools.partial",
}
"""Harmless things that pickles of modules call; their stand-ins record the call and do nothing."""
_SILU = ("torch.nn.functional.silu", "torch._C._nn.silu")
_MODEL = "schnetpack.model.base.NeuralNetworkPotential"
_TIME_HEAD, _NOISE_HEAD = "morered.model.heads.DiffusionTime", "morered.model.heads.TimeAwareEquivariant"


class MoreRedConfig(TypedDict):
    """The `network` part of an imported model's config."""

    name: str
    elements: list[int]
    n_features: int
    n_interactions: int
    n_radial: int
    cutoff: float
    n_head_layers: int


class NotMoreRedError(UserError):
    """The file is not a model of MoreRed, or names what such a model never contains. Nothing was run."""


def import_morered(model_pt: Path, out: Path, elements: Sequence[int] = ELEMENTS) -> None:
    """Turn a published `.pt` (JT, DDPM or time predictor) into the model folder `out`.

    `elements` are those of the model's training set. A time predictor for AS and ITP belongs into the folder
    `time` inside its noise model's. Raises UserError, and NotMoreRedError where the file is anything
    else than a MoreRed model on PaiNN.
    """
    from prerelax.denoisers.checkpoint import save_model

    network_config, weights = read_morered(model_pt, elements)
    sampler = {"morered-joint": {"name": "jt"}, "morered-noise": {"name": "as"}}.get(
        network_config["name"], {}
    )
    config = {
        "network": network_config,
        "schedule": {"kind": "morered", "timesteps": 1000, "precision": 1e-5, "power": 2.0},
        "sampler": sampler,
        "training": {"imported_from": model_pt.name},
    }
    save_model(out, weights, config, card=_card(model_pt, network_config))


def read_morered(
    model_pt: Path, elements: Sequence[int] = ELEMENTS
) -> tuple[MoreRedConfig, dict[str, Tensor]]:
    """Network config and weights, under our names, of a published `.pt`. Errors as `import_morered`."""
    root = _unpickle(model_pt)
    if not isinstance(root, _StandIn) or root.name != _MODEL:
        raise NotMoreRedError(
            f"{model_pt} holds {_describe(root)}, not a SchNetPack model as MoreRed publishes"
        )
    try:
        config, weights = _translate(root)
    except NotMoreRedError as error:
        raise NotMoreRedError(f"{model_pt}: {error}") from None
    config["elements"] = [int(z) for z in elements]
    try:
        network: nn.Module = build_network(config)
        network.load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        raise NotMoreRedError(
            f"{model_pt}: its tensors do not form the network of MoreRed: {error}"
        ) from None
    return config, weights


def _card(model_pt: Path, config: MoreRedConfig) -> str:
    symbols = ", ".join(str(z) for z in config["elements"])
    return (
        f"# {config['name']} imported from {model_pt.name}\n\n"
        "Weights of MoreRed (Kahouli et al., MLST 2024, 5, 035038; MIT licence), read without unpickling.\n\n"
        f"PaiNN with {config['n_interactions']} interactions and {config['n_features']} features, cutoff "
        f"{config['cutoff']} Å. Atomic numbers: {symbols} (the file does not say; given at import).\n"
        "Schedule: polynomial, T = 1000, precision 1e-5, the published one (not part of the file).\n"
    )


# ---------------------------------------------------------------- the module tree


def _translate(root: _StandIn) -> tuple[MoreRedConfig, dict[str, Tensor]]:
    """Network config (without elements) and weights under our names."""
    children = _children(root)
    trunk = children.get("representation")
    if trunk is None or trunk.name != "schnetpack.representation.painn.PaiNN":
        raise NotMoreRedError(f"its representation is {_describe(trunk)}; only PaiNN can be imported")
    if trunk.state.get("share_filters") or len(
        _children(trunk).get("electronic_embeddings", _NOTHING).modules
    ):
        raise NotMoreRedError("its PaiNN shares filters or embeds charges, which MoreRed's do not")
    heads = _children(children.get("output_modules", _NOTHING))
    names = [head.name for head in heads.values()]
    kinds = {
        (_TIME_HEAD, _NOISE_HEAD): "morered-joint",
        (_NOISE_HEAD,): "morered-noise",
        (_TIME_HEAD,): "morered-time",
    }
    kind = kinds.get(tuple(names))
    if kind is None:
        raise NotMoreRedError(
            f"its heads are {names or 'missing'}, not those of a joint, noise or time model"
        )
    _check_activations(root)

    weights: dict[str, Tensor] = {}
    for name, tensor in _tensors(trunk):
        weights[f"representation.{name}"] = tensor
    cutoff = weights.pop("representation.cutoff_fn.cutoff", None)
    embedding = weights.get("representation.embedding.weight")
    offsets = weights.get("representation.radial_basis.offsets")
    if cutoff is None or embedding is None or offsets is None or embedding.ndim != 2:
        raise NotMoreRedError("its PaiNN lacks the embedding, the Gaussian basis or the cosine cutoff")
    weights["representation.embedding.weight"] = _with_rows(embedding, N_EMBEDDED_ELEMENTS)

    n_layers = 0
    for head in heads.values():
        if head.name == _TIME_HEAD:
            if head.state.get("aggregation_mode") is not None:
                raise NotMoreRedError("its time head aggregates before the clamp, unlike MoreRed's")
            inner, prefix = _children(head).get("time_outnet", _NOTHING), "time_head"
        else:
            if not head.state.get("include_time"):
                raise NotMoreRedError("its noise head does not use the time")
            inner, prefix = head, "noise_head"
        layers = _children(inner).get("outnet", _NOTHING)
        n_layers = len(layers.modules)
        weights |= {f"{prefix}.outnet.{name}": tensor for name, tensor in _tensors(layers)}
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise NotMoreRedError("it has weights that are not finite")
    config: MoreRedConfig = {
        "name": kind,
        "n_features": int(embedding.shape[1]),
        "n_interactions": len(_children(trunk).get("interactions", _NOTHING).modules),
        "n_radial": len(offsets),
        "cutoff": float(cutoff.flatten()[0]),
        "n_head_layers": n_layers,
        "elements": [],
    }
    return config, {name: tensor.float() for name, tensor in weights.items()}


def _with_rows(embedding: Tensor, n_rows: int) -> Tensor:
    """The table cut or filled with zeros: versions of SchNetPack differ in the number of elements."""
    missing = max(n_rows - len(embedding), 0)
    return nn.functional.pad(embedding[:n_rows], (0, 0, 0, missing))


def _children(module: _StandIn) -> dict[str, _StandIn]:
    return {name: child for name, child in module.modules.items() if isinstance(child, _StandIn)}


def _walk(module: _StandIn, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, _StandIn]]:
    if depth > 12:
        raise NotMoreRedError("its modules are nested deeper than any MoreRed model's")
    yield prefix, module
    for name, child in _children(module).items():
        yield from _walk(child, f"{prefix}{name}.", depth + 1)


def _tensors(module: _StandIn) -> Iterator[tuple[str, Tensor]]:
    for prefix, part in _walk(module):
        for name, value in (part.parameters | part.buffers).items():
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value


def _check_activations(root: _StandIn) -> None:
    for _, part in _walk(root):
        for key in ("activation", "sactivation"):
            used = part.state.get(key)
            if isinstance(used, _StandInClass) and used.name not in _SILU:
                raise NotMoreRedError(f"its activation is {used.name}; MoreRed's is silu")


def _describe(thing: object) -> str:
    return thing.name if isinstance(thing, _StandIn) else f"a {type(thing).__name__}"


# ---------------------------------------------------------------- reading without executing


class _StandInClass(type):
    """A name found in the pickle. Calling it does nothing where MoreRed's models do so, else is refused."""

    name: str

    def __call__(cls, *args: object, **kwargs: object) -> object:
        if cls.name not in _CALLED:
            raise NotMoreRedError(f"it would call {cls.name}, which no MoreRed model does")
        return super().__call__(*args)


class _StandIn(metaclass=_StandInClass):
    """An object of the pickle: the name of its class and its state, never more."""

    name = "nothing"
    state: Mapping[str, object] = MappingProxyType({})

    def __new__(cls, *args: object, **kwargs: object) -> _StandIn:
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        self.state = state if isinstance(state, dict) else {}

    def _part(self, key: str) -> dict[str, object]:
        part = self.state.get(key)
        return part if isinstance(part, dict) else {}

    @property
    def modules(self) -> dict[str, object]:
        return self._part("_modules")

    @property
    def parameters(self) -> dict[str, object]:
        return self._part("_parameters")

    @property
    def buffers(self) -> dict[str, object]:
        return self._part("_buffers")


_NOTHING = _StandIn.__new__(_StandIn)


class _TensorUnpickler(pickle.Unpickler):
    """Makes tensors, containers and stand-ins; nothing that the pickle names is imported or called."""

    def __init__(self, archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{prefix}/data.pkl")))
        self.archive = archive
        self.prefix = prefix
        self.stand_ins: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> object:
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        if full == "collections.OrderedDict":
            return dict
        if full == "torch._utils._rebuild_tensor_v2":
            return _Call(_rebuild_tensor)
        if full == "torch._utils._rebuild_parameter":
            return _Call(_rebuild_parameter)
        if full not in _CALLED and full.split(".")[0] not in _PACKAGES:
            raise NotMoreRedError(f"it names {full}, which no MoreRed model does")
        if full not in self.stand_ins:
            self.stand_ins[full] = _StandInClass(name, (_StandIn,), {"name": full})
        return self.stand_ins[full]

    def persistent_load(self, pid: object) -> Tensor:
        """One-dimensional tensor of a storage: ("storage", class, key, device, number of elements)."""
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage"):
            raise NotMoreRedError("it refers to something else than tensor storages")
        _, storage, key, _, n_elements = pid
        dtype = _STORAGES.get(storage.name.split(".")[-1]) if isinstance(storage, _StandInClass) else None
        if dtype is None or not isinstance(key, str) or not re.fullmatch(r"\d+", key):
            raise NotMoreRedError("it has a tensor storage of an unknown kind")
        data = bytearray(self.archive.read(f"{self.prefix}/data/{key}"))
        if not isinstance(n_elements, int) or len(data) != n_elements * dtype.itemsize:
            raise NotMoreRedError(f"its storage {key} has {len(data)} bytes, not {n_elements} numbers")
        return torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)


class _Call:
    """A function of ours that the pickle may call but not alter."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function

    def __call__(self, *args: object) -> Tensor:
        return self._function(*args)

    def __setstate__(self, state: object) -> None:
        raise NotMoreRedError("it would change a function")


def _rebuild_tensor(storage: object, offset: object, size: object, stride: object, *_: object) -> Tensor:
    if not isinstance(storage, Tensor):
        raise NotMoreRedError("it has a tensor without a storage")
    if not (isinstance(offset, int) and _are_integers(size) and _are_integers(stride)):
        raise NotMoreRedError("it has a tensor without a shape")
    if math.prod(size) > len(storage):
        raise NotMoreRedError("it has a tensor larger than its storage")
    return torch.as_strided(storage, size, stride, offset).clone()


def _are_integers(values: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(values, tuple) and all(isinstance(value, int) for value in values)


def _rebuild_parameter(data: object, *_: object) -> Tensor:
    if not isinstance(data, Tensor):
        raise NotMoreRedError("it has a parameter that is not a tensor")
    return data


def _unpickle(path: Path) -> object:
    """What the archive holds, as stand-ins and tensors."""
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST_ARCHIVE_BYTES:
                raise NotMoreRedError("it is far larger than any MoreRed model")
            pickles = [n for n in archive.namelist() if re.fullmatch(r"[^/]+/data\.pkl", n)]
            if len(pickles) != 1:
                raise NotMoreRedError("it is not an archive written by torch.save")
            prefix = pickles[0].split("/")[0]
            byteorder = f"{prefix}/byteorder"
            if byteorder in archive.namelist() and archive.read(byteorder) != b"little":
                raise NotMoreRedError("its tensors are big-endian")
            return _TensorUnpickler(archive, prefix).load()
    except NotMoreRedError as error:
        raise NotMoreRedError(f"{path} is refused, and nothing in it was run: {error}") from None
    except zipfile.BadZipFile:
        raise NotMoreRedError(f"{path} is not a zip archive as torch.save writes") from None
    except Exception as error:
        # A damaged or crafted pickle can fail in any way while it is read.
        raise NotMoreRedError(f"{path} cannot be read as a MoreRed model: {error}") from None
