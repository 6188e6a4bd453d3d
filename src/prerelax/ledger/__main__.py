"""`python -m prerelax.ledger RESULTS... OUT.md`: judge both papers' rows by folders of results."""

import sys
from pathlib import Path

from prerelax.errors import UserError
from prerelax.ledger.page import findings_of, page
from prerelax.ledger.row import results_of
from prerelax.records.atomic_write import write_text_atomically


def main(words: list[str]) -> None:
    """Write the page; rows whose campaigns are not given stay as it had them.

    Raises UserError for a call without OUT.md or for what is no folder of results.
    """
    if not words or not words[-1].endswith(".md"):
        raise UserError(
            "python -m prerelax.ledger RESULTS... OUT.md: folders of results, then the page to write"
        )
    out = Path(words[-1])
    before = findings_of(out.read_text()) if out.is_file() else {}
    text = page(results_of(map(Path, words[:-1])), before)
    write_text_atomically(out, text)
    print(next(line for line in text.splitlines() if line.startswith("**Of")))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(str(error))
