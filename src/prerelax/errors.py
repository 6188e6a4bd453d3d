"""Errors that are the user's to mend, and words of messages."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A wrong file, config or call: the command line shows its one sentence and exits with status 2."""


class MissingProgramError(UserError):
    """The program or package behind an engine is not installed on this machine."""


def nearest(word: str, known: Iterable[str], *, list_known: bool = True) -> str:
    """The end of a sentence about an unknown word: "; did you mean X?", whatever the case of its letters.

    Where no known word is near, "; known are X, Y", or nothing where they are too many to list.
    """
    words = list(known)
    by_lower = {name.lower(): name for name in words}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1)
    if found:
        return f"; did you mean {by_lower[found[0]]}?"
    return f"; known are {', '.join(words)}" if list_known and words else ""


def several(n: int, what: str, plural: str | None = None) -> str:
    """So many of something: `1 shard`, `12 shards`; `plural` where it does not end in s alone."""
    return f"{n} {what}" if n == 1 else f"{n} {plural or what + 's'}"
