"""The ledger of both papers: every figure, table and number, what campaigns found, and a verdict by code.

`python -m prerelax.ledger RESULTS... OUT.md` reads folders of results and writes the page.
"""
