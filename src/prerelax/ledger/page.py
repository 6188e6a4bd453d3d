"""The page of the ledger: a table for each paper, counts of verdicts, and when a verdict is which."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from prerelax.ledger import edm, morered
from prerelax.ledger.row import VERDICTS, Finding, Found, Row, Verdict, judged

PAPERS = {
    "Paper E": (
        "EDM: [Rothchild et al., Chem. Sci. 2024, 15, 13506](https://doi.org/10.1039/D3SC05877H)",
        edm.ROWS,
    ),
    "Paper M": (
        "MoreRed: [Kahouli et al., MLST 2024, 5, 035038](https://doi.org/10.1088/2632-2153/ad652c)",
        morered.ROWS,
    ),
}
HEAD = """# Both papers, row by row

Every figure, table and number of both papers, its value there, ours, and a verdict. This page is written by

```
python -m prerelax.ledger results/* docs/results/papers.md
```

from folders of campaigns' results; nobody edits it. A row is judged by the first of its campaigns that shows
it, the full one before the small one ([Studies](../guide/studies.md)). Campaigns may be judged one at a time:
where the results of a row's campaign are not given, the row stays as it was, marked ᵏ.

- **same**: the 95 % interval, or a test at 5 %, excludes everything but what the paper reports. A number's
  interval must hold the paper's and lie between a half and twice of it.
- **opposite**: it excludes what the paper reports.
- **undecided**: neither; or fewer than eight molecules, of which no interval is given; or a network, chains,
  molecules or a level of theory that prove nothing of the paper's.
- **not shown**: no results, with what is missing.

Some rows are one number without a spread, such as a step or R². What decides them stands in `why`.

The molecule is what was drawn at random: its conformers and inputs are averaged first. The criteria are in
`src/prerelax/ledger/`.
"""


KEPT = " ᵏ"
_LINE = re.compile(r"\| (R\d+) \|" + r" (.*?) \|" * 8)


def page(results: Mapping[str, Found], before: Mapping[str, Finding] | None = None) -> str:
    """The page for these results, by campaign; `before`: the findings of an earlier page, by row."""
    tables, counts = [], Counter[str]()
    for name, (words, rows) in PAPERS.items():
        findings = [judged(row, results, (before or {}).get(row.key)) for row in rows]
        counts.update(finding.verdict for finding in findings)
        tables.append(f"## {name}\n\n{words}\n\n{_table(rows, findings)}\n")
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    from_ = ", ".join(f"`{name}`" for name in results) or "no results"
    from_ += ", and from an earlier page" if any(KEPT in table for table in tables) else ""
    return "\n".join([HEAD, f"**Of {counts.total()} rows {told}**, from {from_}.\n", *tables])


def findings_of(text: str) -> dict[str, Finding]:
    """What a page says, by row, marked as kept; rows that it does not show are left out."""
    found = {}
    for line in text.splitlines():
        if cells := _LINE.fullmatch(line):
            key, _, _, _, ours, n, verdict, why, campaign = cells.groups()
            number, judged_as = None if n == "–" else int(n), cast(Verdict, verdict.strip("*"))
            if judged_as != "not shown":
                said = "" if why == "–" else why
                found[key] = Finding(ours, number, judged_as, said, campaign.removesuffix(KEPT), is_kept=True)
    return found


def _table(rows: Sequence[Row], findings: Sequence[Finding]) -> str:
    lines = [
        "| row | figure | the paper's claim | paper | ours | n | verdict | why | campaign |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, found in zip(rows, findings, strict=True):
        n = "–" if found.n is None else str(found.n)
        cells = (row.key, row.figure, row.claim, row.paper, found.ours, n, f"**{found.verdict}**")
        campaign = found.campaign + (KEPT if found.is_kept else "")
        lines.append("| " + " | ".join(map(_cell, (*cells, found.why, campaign))) + " |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "∣").split()) or "–"
