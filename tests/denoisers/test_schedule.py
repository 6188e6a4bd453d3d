"""The noise schedule by its own properties."""

import pytest
import torch

from prerelax.denoisers.checkpoint import make_schedule
from prerelax.denoisers.schedule import NoiseSchedule


@pytest.mark.parametrize("timesteps", [1, 50, 200, 1000])
def test_signal_and_noise_share_the_variance(timesteps: int) -> None:
    schedule = NoiseSchedule.polynomial(timesteps)
    assert schedule.timesteps == timesteps
    torch.testing.assert_close(schedule.alpha**2 + schedule.sigma**2, torch.ones(timesteps + 1))
    assert (schedule.gamma.diff() > 0).all()
    assert float(schedule.sigma[0]) == pytest.approx(1e-5**0.5, rel=1e-3)


def test_sigma_at_the_papers_starting_steps() -> None:
    sigma = NoiseSchedule.polynomial(1000).sigma
    for step, value in {0: 0.0032, 20: 0.0285, 30: 0.0425, 50: 0.0707}.items():
        assert round(float(sigma[step]), 4) == value


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "cosin"}, "unknown schedule"),
        ({"timesteps": 0}, "at least 1"),
        ({"precision": 0.7}, "between 0 and 0.5"),
        ({"timestep": 10}, "timestep"),
    ],
)
def test_wrong_schedules_are_named(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_schedule(config)
