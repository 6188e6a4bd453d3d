"""Whether the relaxations of a target were all made the same way: levels never mix within a delta."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prerelax.comparison.pairs import ComparisonError

_LEVEL = ("engine", "method", "basis", "dispersion")


def differing_settings(table: pa.Table) -> list[str]:
    """One sentence per target whose relaxations (of `read_relaxations`) differ in settings, the level apart.

    Raises ComparisonError where they differ in the level, since then no energy difference means anything.
    """
    sentences = []
    found = table.select(["target", "settings"]).group_by(["target", "settings"]).aggregate([])
    for target in pc.unique(found["target"]).to_pylist():
        texts = found.filter(pc.equal(found["target"], target))["settings"].drop_null().to_pylist()
        differing = _differing([json.loads(text) for text in texts])
        for name in _LEVEL:
            if name in differing:
                raise ComparisonError(
                    f"target {target}: relaxations with {name} {_listed(differing[name])} cannot be "
                    "compared; delete stale shards of an earlier campaign, or name the targets apart"
                )
        if differing:
            words = "; ".join(f"{name} {_listed(values)}" for name, values in differing.items())
            sentences.append(f"note: relaxations at target {target} differ in their settings: {words}")
    return sentences


def _differing(settings: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Settings with more than one value, and these values."""
    names = dict.fromkeys(name for each in settings for name in each)
    values = {name: {json.dumps(each.get(name)): each.get(name) for each in settings} for name in names}
    return {name: list(different.values()) for name, different in values.items() if len(different) > 1}


def _listed(values: list[Any]) -> str:
    return " and ".join(json.dumps(value) for value in values)
