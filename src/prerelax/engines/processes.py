"""Processes in which engines run: their threads, and what to say of one that died."""

import signal

from prerelax.molecules.status import Status


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables that give a process so many threads."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    # Waiting threads that spin slow each other down where cores are shared (PySCF: 5.6 s instead of 2.1 s).
    return counts | {"OMP_WAIT_POLICY": "passive", "OMP_MAX_ACTIVE_LEVELS": "1"}


def cause_of_death(code: int, words: str, program: str = "the engine") -> tuple[Status, str]:
    """Row status and message of a program that ended with exit status `code` and these last words."""
    if code == -signal.SIGKILL:
        return (
            "resource_error",
            f"{program} was killed from outside, most likely for its memory; give the job more",
        )
    name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
    return "unknown_error", f"{program} died ({name}){': ' + words if words else ''}"
