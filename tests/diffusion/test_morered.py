"""MoreRed's samplers on what can go wrong, and what a molecule may expect of its batch mates."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.diffusion.morered import Limits, Molecule, Relaxed, make_sampler, relax
from prerelax.diffusion.noise import SeededNoise
from prerelax.networks.batch import Batch
from prerelax.networks.morered import JointNetwork, MoreRedOptions, NoiseNetwork, TimeNetwork

SCHEDULE = MoreRedSchedule.polynomial(100)


def network(kind: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    built = kind(MoreRedOptions(n_features=16)).eval()
    if hasattr(built, "time_head"):
        # Spreads the predicted times, so that molecules arrive after different numbers of iterations.
        torch.nn.init.normal_(built.time_head.outnet[2].weight, std=0.3)
        torch.nn.init.constant_(built.time_head.outnet[2].bias, 0.1)
    return built


SAMPLERS = {
    "jt": lambda: make_sampler("jt", network(JointNetwork), SCHEDULE),
    "as": lambda: make_sampler("as", network(NoiseNetwork), SCHEDULE, network(TimeNetwork, 1)),
    "itp": lambda: make_sampler("itp", network(NoiseNetwork), SCHEDULE, network(TimeNetwork, 1)),
    "ddpm": lambda: make_sampler("ddpm", network(NoiseNetwork), SCHEDULE, n_steps=7),
}


def molecules(sizes: list[int]) -> list[Molecule]:
    made = []
    for seed, n in enumerate(sizes):
        rng = np.random.default_rng(seed)
        positions = rng.normal(size=(n, 3)) * n ** (1 / 3) * 0.9 + rng.normal(size=3) * 5
        made.append(Molecule(rng.choice([1, 6, 7, 8], n), positions))
    return made


def run(inputs: list[Molecule], sampler: Any, seed: int = 0, **options: Any) -> list[Relaxed]:
    noise = SeededNoise([f"m{i}" for i in range(len(inputs))], seed)
    others = {name: options.pop(name) for name in ("keep_trajectory", "when_done") if name in options}
    return relax(inputs, sampler, noise, Limits(**{"max_iterations": 25, **options}), **others)


@pytest.mark.parametrize("name", SAMPLERS)
def test_results_do_not_depend_on_batch_mates_and_keep_their_order(name: str) -> None:
    inputs = molecules([5, 12, 1, 9, 30, 7, 2])
    whole = run(inputs, SAMPLERS[name]())
    swapped = run(inputs, SAMPLERS[name](), batch_size=2)
    for a, b, molecule in zip(whole, swapped, inputs, strict=True):
        assert (a.status, a.steps) == (b.status, b.steps)
        assert a.positions.shape == molecule.positions.shape
        np.testing.assert_allclose(a.positions, b.positions, rtol=0, atol=1e-4)
    assert run(inputs, SAMPLERS[name](), seed=1)[0].positions.tolist() != whole[0].positions.tolist()


def test_molecules_arrive_after_different_numbers_of_iterations() -> None:
    relaxed = run(molecules([5, 12, 1, 9, 30, 7, 2, 16]), SAMPLERS["itp"](), max_iterations=40)
    arrived = [r for r in relaxed if r.status == "ok"]
    assert len({len(r.steps) for r in arrived}) > 2
    for r in arrived:
        assert r.steps == list(range(r.steps[0], -1, -1))


def test_ddpm_counts_down_from_its_number_of_steps() -> None:
    relaxed = run(molecules([5, 9]), SAMPLERS["ddpm"]())
    assert [r.steps for r in relaxed] == [[6, 5, 4, 3, 2, 1, 0]] * 2
    assert [r.status for r in relaxed] == ["ok"] * 2


def test_the_centre_stays_where_the_input_had_it() -> None:
    inputs = molecules([6, 11])
    for molecule, r in zip(inputs, run(inputs, SAMPLERS["jt"]()), strict=True):
        np.testing.assert_allclose(r.positions.mean(0), molecule.positions.mean(0), atol=1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("scale", [0.0, 1e-3, 100.0, 1e8, 1e30, 1e200])
def test_a_geometry_far_outside_ends_with_a_status(name: str, scale: float) -> None:
    inputs = molecules([8, 8])
    inputs[0] = Molecule(inputs[0].numbers, inputs[0].positions * scale)
    far, near = run(inputs, SAMPLERS[name]())
    assert far.status in ("ok", "not_converged", "unknown_error")
    assert np.isfinite(far.positions).all()
    assert far.status != "unknown_error" or far.message
    alone = run(inputs, SAMPLERS[name](), batch_size=1)[1]
    np.testing.assert_allclose(near.positions, alone.positions, rtol=0, atol=1e-4)


def test_a_molecule_of_200_atoms_a_single_atom_and_two_fragments_together() -> None:
    inputs = molecules([200, 1, 10])
    fragments = inputs[2].positions + np.where(np.arange(10) < 5, 0.0, 30.0)[:, None]
    inputs[2] = Molecule(inputs[2].numbers, fragments)
    for r, molecule in zip(run(inputs, SAMPLERS["jt"]()), inputs, strict=True):
        assert r.status in ("ok", "not_converged")
        assert np.isfinite(r.positions).all() and r.positions.shape == molecule.positions.shape


class Broken(JointNetwork):
    """Predicts NaN, in the noise or the time, for molecules of five atoms from their third iteration on."""

    def __init__(self, broken: str) -> None:
        super().__init__(MoreRedOptions(n_features=16))
        self.broken = broken
        self.calls = 0

    def noise_and_atom_times(self, batch: Batch) -> tuple[Tensor, Tensor]:
        noise, times = super().noise_and_atom_times(batch)
        self.calls += 1
        if self.calls >= 3:
            sick = (batch.n_atoms == 5)[batch.molecule_index]
            noise = noise.masked_fill(sick[:, None], float("nan")) if self.broken == "noise" else noise
            times = times.masked_fill(sick, float("nan")) if self.broken == "time" else times
        return noise, times


@pytest.mark.parametrize("broken", ["noise", "time"])
def test_predictions_that_are_not_finite_end_that_molecule_only(broken: str) -> None:
    def sampler(kind: str) -> Any:
        torch.manual_seed(0)
        sick = Broken(kind).eval()
        torch.nn.init.constant_(sick.time_head.outnet[2].bias, 0.5)
        return make_sampler("jt", sick, SCHEDULE)

    inputs = molecules([7, 5, 11])
    healthy = run(inputs, sampler("nothing"))
    relaxed = run(inputs, sampler(broken))
    assert relaxed[1].status == "unknown_error" and "iteration 3" in relaxed[1].message
    assert np.isfinite(relaxed[1].positions).all() and len(relaxed[1].steps) == 3
    for i in (0, 2):
        assert relaxed[i].status == "not_converged"
        np.testing.assert_allclose(relaxed[i].positions, healthy[i].positions, rtol=0, atol=1e-4)


def test_inputs_that_cannot_be_treated_are_returned_with_a_reason() -> None:
    inputs = molecules([5, 6, 7])
    inputs[0] = Molecule(np.array([1, 6, 9, 17, 8]), inputs[0].positions)
    inputs[1] = Molecule(inputs[1].numbers, inputs[1].positions * np.nan)
    relaxed = run(inputs, SAMPLERS["jt"]())
    assert relaxed[0].status == "unsupported_element" and "[9, 17]" in relaxed[0].message
    assert relaxed[1].status == "input_error" and "not finite" in relaxed[1].message
    assert relaxed[2].status in ("ok", "not_converged")
    assert run([], SAMPLERS["jt"]()) == []


def test_iteration_limit() -> None:
    sampler = make_sampler("ddpm", network(NoiseNetwork), SCHEDULE, n_steps=30)
    (r,) = run(molecules([6]), sampler, max_iterations=4)
    assert r.status == "not_converged" and r.steps == [29, 28, 27, 26]
    assert "step 26 after 4 iterations" in r.message
    with pytest.raises(ValueError, match="at least 1"):
        run(molecules([6]), sampler, max_iterations=0)


def test_samplers_refuse_networks_that_do_not_serve_them() -> None:
    joint, noise = network(JointNetwork), network(NoiseNetwork)
    for name, first, steps, words in (
        ("jt", noise, None, "joint model"),
        ("as", joint, None, "noise model"),
        ("itp", noise, None, "time model"),
        ("ddpm", noise, None, "number of steps"),
        ("ddpm", noise, 101, "1…100"),
        ("edm", noise, None, "known: jt, as, itp, ddpm"),
    ):
        with pytest.raises(ValueError, match=words):
            make_sampler(name, first, SCHEDULE, n_steps=steps)


def test_a_step_back_with_the_true_noise_moves_towards_the_clean_geometry() -> None:
    torch.manual_seed(0)
    clean = torch.randn(50, 3, dtype=torch.float64)
    noise = torch.randn(50, 3, dtype=torch.float64)
    step = torch.full((50,), 60)
    noised = SCHEDULE.alpha[60] * clean + SCHEDULE.sigma[60] * noise
    back = SCHEDULE.step_back(noised, noise, torch.zeros_like(noise), step)
    expected = SCHEDULE.alpha[59] * clean
    assert (back - expected).norm() < (noised - SCHEDULE.alpha[60] * clean).norm()
    at_zero = SCHEDULE.step_back(noised, noise, noise, torch.zeros_like(step))
    without = SCHEDULE.step_back(noised, noise, 0 * noise, torch.zeros_like(step))
    assert torch.equal(at_zero, without)


def test_schedule_refuses_what_is_no_schedule() -> None:
    for options in ({"timesteps": 1}, {"precision": 0.0}, {"precision": 0.5}):
        with pytest.raises(ValueError):
            MoreRedSchedule.polynomial(**options)
    assert SCHEDULE.nearest_step(torch.tensor([0.0, 1.0, float("nan")])).tolist() == [0, 99, -1]
