"""The words of constraints, read without any chemistry: a campaign's are looked at before it begins."""

from collections.abc import Iterator

COORDINATES = {"distance": 2, "angle": 3, "dihedral": 4}
"""Atoms of each kind of internal coordinate."""
ATOMS, ROTATABLE = "atoms", "rotatable"
WORDS = (ATOMS, *COORDINATES, ROTATABLE)


def parts_of(text: str) -> Iterator[tuple[str, str, list[int]]]:
    """Each constraint of a text as it stands there, its word, and its atoms counted from 0.

    Raises ValueError, as a sentence, for words and numbers that do not fit.
    """
    for part in filter(None, (each.strip() for each in text.replace("\n", ";").split(";"))):
        word, *numbers = part.replace(",", " ").lower().split()
        if word not in WORDS or (word == ROTATABLE and numbers):
            raise ValueError(f"constraint {part!r} begins with none of {', '.join(WORDS)}")
        yield part, word, [] if word == ROTATABLE else _places(part, word, numbers)


def checked(text: str) -> str:
    """The text itself. Raises ValueError as `parts_of`."""
    for _ in parts_of(text):
        pass
    return text


def _places(part: str, word: str, numbers: list[str]) -> list[int]:
    """Atoms from 0; `3-5` stands for three."""
    places: list[int] = []
    for number in numbers:
        first, dash, last = number.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(number) > 20:
            raise ValueError(f"constraint {part!r}: {number!r} is no atom; count them from 1")
        if dash and int(last) - int(first) > 100_000:
            raise ValueError(f"constraint {part!r}: {number!r} is more atoms than a molecule has")
        if dash and int(last) < int(first):
            raise ValueError(f"constraint {part!r}: {number!r} runs backwards; the lower atom comes first")
        places += range(int(first) - 1, int(last or first))
    wanted = COORDINATES.get(word)
    if not places:
        raise ValueError(f"constraint {part!r}: {word} names no atoms; count them from 1")
    if min(places) < 0 or len(set(places)) != len(places):
        raise ValueError(f"constraint {part!r}: name different atoms, counted from 1")
    if wanted is not None and len(places) != wanted:
        raise ValueError(f"constraint {part!r}: {word} takes {wanted} atoms, not {len(places)}")
    return places
