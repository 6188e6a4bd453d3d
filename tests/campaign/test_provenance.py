"""What jobs of a running campaign are told."""

import pytest

from prerelax.campaign.provenance import RUNNING, hand_to_jobs, running_campaign


def test_a_job_takes_the_config_that_its_campaign_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNNING, "{}")
    begun = {"campaign": "one", "starts": {"mmff94": {"kind": "forcefield"}}}
    hand_to_jobs(begun, 7)
    assert running_campaign({"campaign": "renamed"}) == (begun, 7)
    hand_to_jobs({"campaign": "two"}, 3)
    assert running_campaign({"campaign": "one", "seed": 1}) == (begun, 7)
    assert running_campaign({"campaign": "two"}) == ({"campaign": "two"}, 3)
