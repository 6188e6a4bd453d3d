"""YAML and npz files of whatever content, read into plain values or refused in one sentence."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from prerelax.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_VALUES = 1_000_000
"""Values of a YAML file, those that stand for others counted as often as they do."""


class _Loader(yaml.SafeLoader):
    """Plain YAML, but a key that stands twice in a mapping is an error: one of its values would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        """The mapping of a node."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen if isinstance(key.value, str) else False:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} stands there twice", key.start_mark
                )
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(text: str, what: str) -> object:
    """What a YAML text holds; `what` names it. Raises UserError for a text that is not YAML.

    Refused as well: a key that stands twice in a mapping, aliases that stand for more than MOST_VALUES, and
    what `check_plain` refuses.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _n_values(node, {}) > MOST_VALUES:
                raise UserError(f"{what} stands for more than {MOST_VALUES} values; write it without aliases")
            value = loader.construct_document(node)
            check_plain(value, what)
            return value
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{what} is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(
            f"{what} is not YAML that can be read: it is nested too deeply, or in itself"
        ) from None


def check_plain(value: object, what: str) -> None:
    """Raise UserError for numbers and texts that no setting means and that later stages could not write.

    These are whole numbers of more than 64 bits, and texts with a zero byte or half a surrogate pair.
    """
    waiting, seen = [value], set[int]()
    while waiting:
        each = waiting.pop()
        if isinstance(each, int) and abs(each) >= 2**63:
            raise UserError(f"{what} holds a whole number of more than 64 bits")
        if isinstance(each, str) and ("\0" in each or (not each.isascii() and _is_torn(each))):
            raise UserError(f"{what} holds a text with a character that no file can have")
        if isinstance(each, dict | list | tuple | set) and id(each) not in seen:
            seen.add(id(each))
            waiting += each
            waiting += each.values() if isinstance(each, dict) else ()


def _is_torn(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _n_values(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, aliases followed."""
    if id(node) not in known:
        known[id(node)] = MOST_VALUES + 1  # for an alias of a node inside itself
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        known[id(node)] = 1 + sum(_n_values(part, known) for part in parts)
    return known[id(node)]


def read_yaml_file(path: Path, what: str = "") -> object:
    """What a YAML file holds. Raises UserError where it cannot be read, and as `read_yaml` does."""
    what = what or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{what} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{what} is not YAML: {error}") from None
    return read_yaml(text, what)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file by name. Raises UserError for any other file, and for a damaged one."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (
        AttributeError,
        EOFError,
        KeyError,
        MemoryError,
        NotImplementedError,
        OSError,
        RuntimeError,
        SyntaxError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a whole npz file of arrays ({reason})") from None
