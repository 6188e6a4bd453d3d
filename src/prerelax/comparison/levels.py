"""Whether the relaxations of a target were all made the same way: levels never mix within a delta."""

import json

import pyarrow as pa
import pyarrow.compute as pc

from prerelax.comparison.pairs import ComparisonError
from prerelax.records.settings import LEVEL, is_digest


def differing_settings(table: pa.Table) -> list[str]:
    """One sentence per target whose relaxations (of `read_relaxations`) differ in settings, the level apart.

    Raises ComparisonError where they differ in the level, since then no energy difference means anything.
    """
    sentences = []
    found = table.select(["target", "settings"]).group_by(["target", "settings"]).aggregate([])
    for target in pc.unique(found["target"]).to_pylist():
        texts = found.filter(pc.equal(found["target"], target))["settings"].drop_null().to_pylist()
        differing = _differing([json.loads(text) for text in texts])
        for name in LEVEL:
            if name in differing:
                raise ComparisonError(
                    f"target {target}: relaxations with {name} {_listed(differing[name])} cannot be "
                    "compared; delete stale shards of an earlier campaign, or name the targets apart"
                )
        if models := _digests(differing):
            raise ComparisonError(
                f"target {target}: its relaxations were made by {len(models)} different models under one "
                "name; run the campaign again, which makes those of the older model anew"
            )
        if differing:
            words = "; ".join(f"{name} {_listed(values)}" for name, values in differing.items())
            sentences.append(f"note: relaxations at target {target} differ in their settings: {words}")
    return sentences


def differing_starts(table: pa.Table) -> list[str]:
    """One sentence per start whose geometries were made in different ways.

    Raises ComparisonError where they were made by different denoisers, since then the start is none.
    """
    sentences = []
    names = ["start", "start_settings"]
    found = table.select(names).group_by(names).aggregate([])
    for start in pc.unique(found["start"]).to_pylist():
        texts = found.filter(pc.equal(found["start"], start))["start_settings"].drop_null().to_pylist()
        said = map(json.loads, texts)
        # What is chosen is so for each molecule. What a denoiser did not know, or a force field has no
        # parameters for, was made by another method, and says so in its row.
        made = [each for each in said if not each.get("chosen") and not each.get("instead_of")]
        for verb in dict.fromkeys(each.get("verb") for each in made):
            differing = _differing([each for each in made if each.get("verb") == verb])
            if models := _digests(differing):
                what = "sets" if verb == "displaced" else "models"
                raise ComparisonError(
                    f"start {start}: its geometries were made by {len(models)} different {what} under one "
                    "name; run the campaign again, which makes the older ones anew"
                )
            differing.pop("versions", None)
            if differing and verb is not None:
                words = "; ".join(f"{name} {_listed(values)}" for name, values in differing.items())
                sentences.append(f"note: geometries of the start {start} were made with different {words}")
    return sentences


def _digests(differing: dict[str, list[object]]) -> list[str]:
    """Digests of models or sets where they differ; a row of an earlier version may lack one and fits any."""
    for name, values in differing.items():
        found = [str(value) for value in values if value]
        if is_digest(name) and len(found) > 1:
            return found
    return []


def _differing(settings: list[dict[str, object]]) -> dict[str, list[object]]:
    """Settings with more than one value, and these values."""
    names = dict.fromkeys(name for each in settings for name in each)
    values = {name: {json.dumps(each.get(name)): each.get(name) for each in settings} for name in names}
    return {name: list(different.values()) for name, different in values.items() if len(different) > 1}


def _listed(values: list[object]) -> str:
    return " and ".join(json.dumps(value) for value in values)
