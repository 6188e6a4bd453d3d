"""The status of a row after a stage. Imports nothing heavy: engines and the workflow read it."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal, get_args

Status = Literal[
    "ok",
    "not_converged",
    "fallback",
    "skipped",
    "input_error",
    "embed_failed",
    "forcefield_unavailable",
    "unsupported_element",
    "scf_failed",
    "connectivity_changed",
    "resource_error",
    "timeout",
    "unknown_error",
]
STATUSES: tuple[Status, ...] = get_args(Status)

PROCEED: frozenset[Status] = frozenset({"ok", "not_converged", "fallback"})
"""Rows with these statuses go on to the next stage; the others are copied through unchanged."""


def counted(statuses: Iterable[str], of_none: str = "no row") -> str:
    """How many rows have each status, the most frequent first: `7 ok, 1 embed_failed`."""
    return ", ".join(f"{n} {status}" for status, n in Counter(statuses).most_common()) or of_none
