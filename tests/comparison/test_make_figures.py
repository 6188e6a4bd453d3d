"""Every figure is written for every kind of campaign, also where nothing worked, and says what it shows."""

from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver
from matplotlib.text import Text

from prerelax.comparison.comparison import compare, read_comparison
from prerelax.comparison.figures import make_figures
from prerelax.comparison.figures.speedup import speedup
from prerelax.comparison.figures.start_energies import start_energies
from prerelax.comparison.figures.steps_vs_steps import steps_vs_steps
from prerelax.comparison.figures.style import nice_number, start_colours
from prerelax.comparison.figures.wall_time import wall_time
from prerelax.comparison.pairs import ComparisonError
from prerelax.records.record import Record
from prerelax.records.shard import write_shard

NAMES = ["steps_vs_steps", "start_energies", "speedup", "wall_time"]
FILES = {f"{name}.{kind}" for name in NAMES for kind in ("pdf", "png", "csv")} | {"table.html", "table.csv"}


def relaxations(start: str, n: int, target: str = "gfn2", seed: int = 0, **changes: Any) -> list[Record]:
    """`n` converged relaxations of water with random numbers."""
    generator = np.random.default_rng([seed, len(start)])
    records = []
    for row in range(n):
        n_steps, energy = int(generator.integers(1, 60)), -10 + float(generator.choice([0, 0.02, -0.03]))
        scalars: dict[str, Any] = {
            "target": target,
            "converged": True,
            "n_steps": n_steps,
            "n_gradients": n_steps + 1,
            "energy_ev": energy,
            "start_energy_ev": energy + float(generator.gamma(2, 0.05)),
            "connectivity_unchanged": True,
            "wall_s": 1.0,
            "stages_s": {"rdkit": 0.1, start: 0.2, target: 1.0},
        }
        geometry = {"numbers": np.array([8, 1, 1]), "positions": generator.normal(size=(3, 3))}
        records.append(Record(id=f"{row:03d}", start=start, **geometry, **(scalars | changes)))
    return records


def comparison_of(tmp_path: Path, shards: Sequence[list[Record]]) -> Path:
    files = [tmp_path / f"{place}.extxyz" for place in range(len(shards))]
    for file, records in zip(files, shards, strict=True):
        write_shard(file, records)
    compare(tmp_path / "comparison.csv", files)
    return tmp_path / "comparison.csv"


FAILED = {"converged": False, "status": "not_converged"}
CAMPAIGNS = {
    "four starts": [relaxations(start, 10) for start in ("mmff94", "gfn2", "edm-n20", "edm-n50")],
    "baseline alone": [relaxations("mmff94", 3)],
    "nothing converged": [relaxations(start, 3, **FAILED) for start in ("mmff94", "edm-n50")],
    "baseline failed": [relaxations("mmff94", 3, **FAILED), relaxations("edm-n50", 3)],
    "one target failed": [
        *(relaxations(start, 4) for start in ("mmff94", "edm-n50")),
        *(relaxations(start, 4, "qm9", **FAILED) for start in ("mmff94", "edm-n50")),
    ],
    "one molecule": [relaxations("mmff94", 1), relaxations("edm-n50", 1, n_steps=0, n_gradients=1)],
    "no energies": [relaxations(start, 2, start_energy_ev=None) for start in ("mmff94", "edm-n50")],
    "nothing at all": [],
}


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_the_same_files_whatever_the_results(tmp_path: Path, campaign: str) -> None:
    comparison = comparison_of(tmp_path, CAMPAIGNS[campaign])
    paths = make_figures(comparison, tmp_path / "figures")
    assert {path.name for path in paths} == FILES
    assert {path.name for path in (tmp_path / "figures").iterdir()} == FILES
    for path in paths:
        start = path.read_bytes()[:8]
        assert path.suffix != ".png" or start == b"\x89PNG\r\n\x1a\n"
        assert path.suffix != ".pdf" or start.startswith(b"%PDF")
        assert start


def test_the_same_bytes_again(tmp_path: Path) -> None:
    comparison = comparison_of(tmp_path, CAMPAIGNS["one molecule"])
    first = [path.read_bytes() for path in make_figures(comparison, tmp_path / "a")]
    assert [path.read_bytes() for path in make_figures(comparison, tmp_path / "b")] == first


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.fixture
def four(tmp_path: Path) -> pd.DataFrame:
    return read_comparison(comparison_of(tmp_path, CAMPAIGNS["four starts"]))


def test_steps_show_every_counted_pair(four: pd.DataFrame) -> None:
    figure, data = steps_vs_steps(four, "mmff94")
    assert len(data) == 30
    panels = [axes for axes in figure.findobj(lambda a: hasattr(a, "get_xlim")) if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["gfn2", "edm-n20", "edm-n50"]
    offsets = panels[1].collections[0].get_offsets()
    points = data[data["start"] == "edm-n20"]
    np.testing.assert_array_equal(offsets, points[["baseline_n_steps", "n_steps"]])


def test_long_names_of_starts_stay_on_the_page(four: pd.DataFrame) -> None:
    four["start"] = four["start"].cat.rename_categories({"edm-n50": "denoised by relaxer-qm9"})
    four["target"] = four["target"].cat.rename_categories([""])  # as on the page, which names it above
    four["n_steps"], four["delta_kcal_mol"] = four["baseline_n_steps"], -4.0
    four["pair"] = four["pair"].astype(str).replace({"same": "deeper", "higher": "deeper"})
    figure, _ = steps_vs_steps(four, "mmff94")
    figure.draw_without_rendering()
    titles = [text for text in figure.findobj(Text) if text.get_text() == "denoised by\nrelaxer-qm9"]
    (title,) = titles
    assert title.get_window_extent().y1 <= figure.bbox.y1


def test_arrows_point_up_where_the_minimum_is_higher(tmp_path: Path) -> None:
    shards = [relaxations("mmff94", 2, energy_ev=-10.0), relaxations("edm-n50", 2)]
    shards[1] = relaxations("edm-n50", 1, energy_ev=-9.9) + relaxations("edm-n50", 2, energy_ev=-10.1)[1:]
    figure, data = steps_vs_steps(read_comparison(comparison_of(tmp_path, shards)), "mmff94")
    (arrows,) = figure.findobj(Quiver)
    assert data["delta_kcal_mol"].round(2).tolist() == [2.31, -2.31]
    assert arrows.V[0] > 0 > arrows.V[1]


def test_speedup_gives_the_summarys_numbers(four: pd.DataFrame, tmp_path: Path) -> None:
    _, data = speedup(four, "mmff94")
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["start", "subset"])
    for row in data.to_dict("records"):
        of_summary = summary.loc[(row["start"], row["subset"])]
        for name in ("median", "ci_low", "ci_high", "quartile_25", "mean"):
            assert row[name] == pytest.approx(
                of_summary[f"gradients_saved_percent_{name}"], abs=1e-3, nan_ok=True
            )


def test_means_are_over_molecules_in_common(tmp_path: Path) -> None:
    lacking = relaxations("edm-n50", 4)
    lacking[0] = relaxations("edm-n50", 1, **FAILED)[0]
    frame = read_comparison(comparison_of(tmp_path, [relaxations("mmff94", 4), lacking]))
    figure, data = wall_time(frame, "mmff94")
    assert data["n"].tolist() == [3, 3]
    assert data.set_index("start").loc["edm-n50", "wall_s_before_edm-n50"] == pytest.approx(0.2)
    assert "n = 3 molecules" in words(figure)
    _, energies = start_energies(frame, "mmff94")
    assert set(energies["id"]) == {"001", "002", "003"}


def test_starts_made_by_a_fallback_are_in_no_number(tmp_path: Path) -> None:
    own = relaxations("edm-n50", 3, n_steps=5, fallback="an ion")
    own[0] = relaxations("edm-n50", 1, n_steps=8)[0]
    shards = [relaxations("mmff94", 3, n_steps=10), own]
    frame = read_comparison(comparison_of(tmp_path, shards))
    figure, data = steps_vs_steps(frame, "mmff94")
    assert "20 % of steps saved, n = 1 of 3" in words(figure) and len(data) == 3
    for draw in (wall_time, start_energies):
        assert "n = 1 molecule" in words(draw(frame, "mmff94")[0])


def test_starts_without_any_result_are_named(tmp_path: Path) -> None:
    shards = [relaxations("mmff94", 3), relaxations("edm-n50", 3, **FAILED)]
    frame = read_comparison(comparison_of(tmp_path, shards))
    for draw in (wall_time, start_energies):
        assert "none from edm-n50" in words(draw(frame, "mmff94")[0])
    assert "no pair counts" in words(steps_vs_steps(frame, "mmff94")[0])
    assert "no pair counts" in words(speedup(frame, "mmff94")[0])


def test_table_escapes_and_counts(tmp_path: Path) -> None:
    shards = [relaxations("mmff94", 3), relaxations("edm-n50", 3, **FAILED)]
    make_figures(comparison_of(tmp_path, shards), tmp_path)
    html = (tmp_path / "table.html").read_text()
    HTMLParser().feed(html)
    assert "<td>0 of 3</td>" in html and "3 not converged" in html
    table = pd.read_csv(tmp_path / "table.csv").set_index("start")
    assert table.loc["mmff94", "pairs counted"] == "3 of 3"


def test_another_baseline_is_refused(tmp_path: Path) -> None:
    comparison = comparison_of(tmp_path, CAMPAIGNS["one molecule"])
    with pytest.raises(ComparisonError, match="baseline mmff94, not uff"):
        make_figures(comparison, tmp_path, "uff")


def test_colours_tell_starts_apart() -> None:
    starts = ["mmff94", "rdkit", "uff", "mmff94-200", "gfn2", "edm-n20", "edm-n50", "mine", "yours"]
    colours = [start_colours(starts, "mmff94")[start] for start in starts]
    assert len(set(colours)) == len(starts)
    assert start_colours(["edm-n50"], "uff")["edm-n50"] == start_colours(starts, "mmff94")["edm-n50"]


@pytest.mark.parametrize(("value", "nice"), [(1, 1), (1.99, 1), (4.9, 2), (5, 5), (99, 50), (0.013, 0.01)])
def test_nice_numbers(value: float, nice: float) -> None:
    assert nice_number(value) == pytest.approx(nice)
