"""The status of a row after a stage. Imports nothing heavy: engines and the workflow read it."""

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
