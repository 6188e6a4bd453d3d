"""A campaign's own page, report.html: what was saved first, then figures, then molecule by molecule."""

from prerelax.comparison.page.page import write_page

__all__ = ["write_page"]
