"""report.html: one file that works offline, written from a campaign's results alone."""

import base64
import io
import json
import re
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from prerelax.campaign.config import Campaign
from prerelax.campaign.names import start_names
from prerelax.campaign.stages import read_campaign
from prerelax.comparison.comparison import read_comparison
from prerelax.comparison.figures.campaign import FIGURES
from prerelax.comparison.figures.style import in_house_style
from prerelax.comparison.page import captions
from prerelax.comparison.page.headline_figure import headline_figure
from prerelax.comparison.page.methods import Method, at_level_of, headline_target, methods_of
from prerelax.comparison.page.molecules import shown_molecules
from prerelax.comparison.page.practice import practice_table
from prerelax.comparison.page.words import headline, verdict_in_words
from prerelax.comparison.relaxed_shards import BEFORE
from prerelax.comparison.verdict import Verdict, read_verdict
from prerelax.records.atomic_write import write_text_atomically

_FILES = files("prerelax.comparison.page")
_COMPARING = ("speedup", "steps_vs_steps")
"""figures that show nothing where the baseline alone was relaxed"""
_PIXELS_PER_INCH = 150
"""of figures on the page: type of 7 points is 14.6 pixels high"""
_MOST_SENTENCES = 8
"""of the first screen"""


def write_page(results: Path, out: Path | None = None) -> Path:
    """Write `out` (default: report.html in `results`) from comparison.csv, campaign.yaml and the shards.

    Raises UserError where comparison.csv or campaign.yaml is missing or something else.
    """
    campaign = read_campaign(results / "campaign.yaml")
    comparison = read_comparison(results / "comparison.csv", leave_out=("message",))
    out = out or results / "report.html"
    write_text_atomically(out, _page(campaign, comparison, results))
    return out


def _page(campaign: Campaign, comparison: pd.DataFrame, results: Path) -> str:
    methods = methods_of(comparison, campaign)
    level: list[Method] = []
    if methods:
        level = at_level_of(methods, headline_target(methods, campaign), campaign)
    parts = [
        *_first_screen(campaign, level, read_verdict(results)),
        "<h2>Gradients per relaxation, start × optimizer</h2>",
        practice_table(methods),
        *_figures(methods, comparison, campaign),
        *_molecules(level, results),
    ]
    return _html(campaign.campaign, parts)


def _first_screen(campaign: Campaign, methods: list[Method], verdict: Verdict | None) -> list[str]:
    said = headline(methods, campaign)
    if verdict is not None and not verdict.passed:
        said.distrust.insert(0, verdict_in_words(verdict))
    parts = [f"<header><p>Campaign {escape(campaign.campaign)}</p><h1>{escape(said.title)}</h1>"]
    parts += [f"<p>{_marked(each)}</p>" for each in said.explained[:_MOST_SENTENCES]]
    parts.append("</header>")
    if methods:
        parts.append(_figure(headline_figure(methods, campaign.baseline.start), captions.HEADLINE))
    if said.distrust:
        parts.append(f"<p><b>What to distrust</b></p><ul class=distrust>{_items(said.distrust)}</ul>")
    if verdict is None or verdict.passed:
        parts.append(f"<p class=small>{_marked(verdict_in_words(verdict))}</p>")
    return parts


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{_marked(text)}</li>" for text in texts)


def _marked(text: str) -> str:
    """As HTML, words between backticks as code."""
    return re.sub("`(.+?)`", r"<code>\1</code>", escape(text))


def _figures(methods: list[Method], comparison: pd.DataFrame, campaign: Campaign) -> list[str]:
    """Every figure of every target, under the names that people know."""
    names = start_names(campaign)
    baseline = names.get(campaign.baseline.start, campaign.baseline.start)
    parts = []
    for target in dict.fromkeys(each.target for each in methods):
        called = _target_name(methods, target)
        rows = comparison[comparison["target"] == target].copy()
        for column in ("target", "start"):
            rows[column] = rows[column].cat.remove_unused_categories()
        known = {key: names.get(key, key) for key in rows["start"].cat.categories}
        rows["start"] = rows["start"].cat.rename_categories(known)
        rows["target"] = rows["target"].cat.rename_categories([""])  # the heading says it
        rows = rows.rename(columns={f"{BEFORE}{key}": f"{BEFORE}{name}" for key, name in names.items()})
        parts.append(f"<h2>{escape(called)}</h2>")
        alone = all(each.is_baseline for each in methods if each.target == target)
        drawn = {name: draw for name, draw in FIGURES.items() if name not in _COMPARING or not alone}
        parts += [_figure(draw(rows, baseline)[0], captions.FIGURES[name]) for name, draw in drawn.items()]
    return parts


def _target_name(methods: list[Method], target: str) -> str:
    of = next(each for each in methods if each.target == target)
    return f"{of.level or target}, {of.name.rpartition(' + ')[2]}"


@in_house_style
def _figure(figure: Figure, caption: str) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    picture = base64.b64encode(file.getvalue()).decode()
    width = round(figure.get_figwidth() * _PIXELS_PER_INCH)
    return (
        f'<figure><img width={width} alt="{escape(caption)}" src="data:image/svg+xml;base64,{picture}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _molecules(methods: list[Method], results: Path) -> list[str]:
    found, n_all = shown_molecules(methods, results)
    if not found:
        return []
    baseline = next((place for place, each in enumerate(methods) if each.is_baseline), None)
    many = ""
    if n_all > len(found):
        many = f"A random sample, {len(found)} of {n_all} molecules; all are in comparison.csv. "
    options = [f"<option value={place}>{escape(each.name)}</option>" for place, each in _best_first(methods)]
    data = json.dumps({"baseline": baseline, "molecules": found}, ensure_ascii=False).replace("</", "<\\/")
    return [
        "<h2>Molecule by molecule</h2>",
        f"<p>{many}{captions.MOLECULES}</p>",
        f"<div class=controls><label>Method <select id=method>{''.join(options)}</select></label>",
        "<label>Search <input id=search type=search placeholder='name, SMILES, note'></label>",
        "<span id=count></span></div>",
        f"<div class=beside><div class=scroll>{_TABLE}</div>",
        "<div id=viewer-pane><div id=viewer></div><p id=viewer-words></p></div></div>",
        f'<script id=data type="application/json">{data}</script>',
        f"<script>{_text('3Dmol-min.js')}</script><script>{_text('page.js')}</script>",
    ]


_TABLE = """\
<table id=molecules><thead><tr><th data-column=id>molecule</th><th></th>
<th data-column=n_atoms>atoms</th><th data-column=baseline>usual</th>
<th data-column=gradients>gradients</th><th data-column=saved>saved / %</th>
<th data-column=delta>ΔE</th><th data-column=note>note</th><th></th></tr></thead><tbody></tbody></table>"""


def _best_first(methods: list[Method]) -> list[tuple[int, Method]]:
    def order(numbered: tuple[int, Method]) -> tuple[bool, float]:
        method = numbered[1]
        return not method.is_ranked, -float(method.alone["times_fewer"] if method.is_ranked else 0)

    return sorted(enumerate(methods), key=order)


def _text(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _html(name: str, parts: list[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)}: what was saved</title>\n<style>\n{_text('page.css')}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
