"""What a running campaign shows."""

import io
from collections import Counter
from types import SimpleNamespace

import pytest

from prerelax.campaign.status import CampaignStatus, StageStatus
from prerelax.runs.live import Progress, Screen

SEEN = "ibuprofen: gradient 4, energy -17863.2012 eV, largest force 0.031 eV/Å"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def status(in_hand: list[str]) -> CampaignStatus:
    stage = SimpleNamespace(name="relaxed/b3lyp/mmff94", conformers=1, kind="relax")
    found = StageStatus(stage, 1, n_begun=1, statuses=Counter(), in_hand=in_hand)  # type: ignore[arg-type]
    return CampaignStatus(None, 1, 1, [found], {}, 0.0, False)  # type: ignore[arg-type]


def test_a_terminal_shows_the_molecule_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """One molecule at DFT would otherwise be 0/1 for an hour."""
    monkeypatch.setenv("COLUMNS", "60")
    progress, out = Progress(), Terminal()
    [line] = progress.lines(status([SEEN]), in_hand=True)
    assert line == f"relaxed/b3lyp/mmff94  0/1  {SEEN}"
    assert progress.lines(status([SEEN])) == progress.lines(status([]), in_hand=True)
    Screen(out).show([line])
    assert out.getvalue() == f"\x1b[2K{line[:59]}\n", "no line wraps"
