"""Usual practice as one word: the start, the optimizer and the baseline that it stands for."""

from collections.abc import Mapping
from typing import Any, Literal

from prerelax.engines import ENGINES, is_cheap
from prerelax.engines.level import Level

Practice = Literal["mmff94-bfgs", "gfn2-geometric"]

_STARTS: dict[str, tuple[str, dict[str, str]]] = {
    "mmff94-bfgs": ("mmff94", {"kind": "forcefield"}),
    "gfn2-geometric": ("gfn2", {"kind": "relax", "engine": "tblite", "method": "GFN2-xTB"}),
}
_OPTIMIZERS = {"mmff94-bfgs": "bfgs", "gfn2-geometric": "geometric"}
_NOT_OF_PRACTICE = ("optimizer", "starts", "cheap_level", "kick", "check_minimum")


def with_practice(config: Mapping[str, Any], default_starts: Mapping[str, Any]) -> dict[str, Any]:
    """A config whose `practice` is spelled out as a start, a target `<target>-practice` and the baseline.

    It is practised at the level of the first target of a DFT program, or of the first one. Raises ValueError
    where a baseline is said as well or there is no target.
    """
    whole = dict(config)
    practice = whole.get("practice")
    if not isinstance(practice, str) or practice not in _STARTS:
        return whole  # a wrong word is refused by its field
    if "baseline" in whole:
        raise ValueError("practice says what the baseline is; leave out one of the two")
    targets = dict(whole.get("targets") or {})
    if not targets:
        raise ValueError("practice needs a target at whose level it is practised")
    starts = dict(whole.get("starts") or default_starts)
    start, made = _STARTS[practice]
    if start not in starts:
        for name, target in targets.items():
            if isinstance(target, Mapping) and target.get("starts") is None:
                targets[name] = {**target, "starts": list(starts)}
        starts[start] = made
    of = next((name for name, target in targets.items() if _is_dear(target)), next(iter(targets)))
    level = {key: value for key, value in targets[of].items() if key not in _NOT_OF_PRACTICE}
    called = f"{of}-practice"
    targets[called] = {**level, "optimizer": _OPTIMIZERS[practice], "starts": [start]}
    return whole | {"starts": starts, "targets": targets, "baseline": {"start": start, "target": called}}


def _is_dear(target: object) -> bool:
    if not isinstance(target, Mapping) or target.get("engine") not in ENGINES:
        return False
    calculator = target.get("calculator")
    said = calculator if isinstance(calculator, str) else None
    return not is_cheap(Level(engine=str(target["engine"]), method="", calculator=said))
