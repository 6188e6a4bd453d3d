"""MoreRed's networks and the force field through `prerelax train`, on sets small enough for a test."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from pydantic import TypeAdapter

from prerelax.denoisers.checkpoint import load_model
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion.morered import Limits, Molecule, relax, sampler_of
from prerelax.diffusion.noise import SeededNoise
from prerelax.engines import Level, level_settings, make_calculator, validate_level
from prerelax.errors import UserError
from prerelax.networks.batch import Batch, make_batch
from prerelax.networks.morered import JointNetwork, MoreRedOptions, NoiseNetwork, TimeNetwork
from prerelax.relaxation.molecule import Relaxation, relax_molecule
from prerelax.settings import read_settings
from prerelax.training import losses as training_losses
from prerelax.training import train
from prerelax.training.config import LossConfig
from prerelax.training.losses import LOSSES

SCHEDULE = MoreRedSchedule.polynomial(1000)


def shrunk_config(
    path: Path, folder: Path, data: Path, n_steps: int = 3, **data_options: Any
) -> dict[str, Any]:
    config = read_settings(path)
    config["network"]["n_features"] = 8
    config.pop("weights", None)
    config["data"] = {"path": str(data), "validation": 10, **data_options}
    config["optimization"] |= {"batch_size": 8, "max_steps": n_steps, "max_hours": None}
    config["run"] |= {"folder": str(folder), "validate_minutes": 0.001}
    return config


def run(config: dict[str, Any], tmp_path: Path, **options: Any) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    train(path, **options)
    return Path(config["run"]["folder"]) / "model"


@pytest.mark.parametrize("kind", ["jt", "noise", "time"])
def test_shipped_configs_train(kind: str, repository: Path, data_folder: Path, tmp_path: Path) -> None:
    path = repository / "config" / "training" / f"morered-{kind}-qm9-small.yaml"
    data = data_folder / "qm9_small_test.npz"
    model = load_model(run(shrunk_config(path, tmp_path / "run", data), tmp_path))
    assert type(model.network) is {"jt": JointNetwork, "noise": NoiseNetwork, "time": TimeNetwork}[kind]
    assert isinstance(model.schedule, MoreRedSchedule)
    assert model.elements == (1, 6, 7, 8)
    if kind == "jt":
        numbers, positions = np.array([6, 1, 1, 1, 1]), np.eye(5, 3)
        graph = np.zeros((5, 5), dtype=np.uint8)
        noise = SeededNoise(["methane"], 0)
        (relaxed,) = relax([Molecule(numbers, positions, graph)], sampler_of(model), noise, Limits(3))
        assert relaxed.status in ("ok", "not_converged")


def test_a_training_begins_with_the_weights_of_a_model(
    repository: Path, data_folder: Path, tmp_path: Path
) -> None:
    data, configs = data_folder / "qm9_small_test.npz", repository / "config/training"
    joint = run(shrunk_config(configs / "morered-jt-qm9-small.yaml", tmp_path / "jt", data), tmp_path)
    time = shrunk_config(configs / "morered-time-qm9-small.yaml", tmp_path / "time", data)
    time |= {"weights": str(joint)}
    time["optimization"] |= {"learning_rate": 0.0, "max_steps": 1}
    begun = load_model(run(time, tmp_path)).network.state_dict()
    given = load_model(joint).network.state_dict()
    assert all(torch.equal(tensor, given[name]) for name, tensor in begun.items())
    noise = shrunk_config(configs / "morered-noise-qm9-small.yaml", tmp_path / "noise", data)
    noise |= {"weights": str(tmp_path / "time" / "model")}
    with pytest.raises(UserError, match=r"weights: .* has no noise_head"):
        run(noise, tmp_path)


def ethanol_like(n_molecules: int = 16) -> Batch:
    rng = np.random.default_rng(0)
    numbers = np.array([6, 6, 8, 1, 1, 1, 1, 1, 1])
    return make_batch([numbers] * n_molecules, [rng.normal(size=(9, 3)) * 1.5] * n_molecules)


def losses(name: str, *inputs: Any, **options: float) -> dict[str, torch.Tensor]:
    """A loss of some inputs, with options as a config gives them."""
    config = TypeAdapter(LossConfig).validate_python({"name": name, "options": options})
    return LOSSES[name](*inputs, config.options)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("morered-joint", JointNetwork), ("morered-noise", NoiseNetwork), ("morered-time", TimeNetwork)],
)
def test_losses_fall(name: str, kind: Any) -> None:
    torch.manual_seed(0)
    network, batch = kind(MoreRedOptions(n_features=16)), ethanol_like()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    history = []
    for _ in range(150):
        loss = losses(name, network, batch, SCHEDULE, (0, 1000), generator)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        history.append(float(loss.detach()))
    assert np.mean(history[-20:]) < 0.6 * np.mean(history[:5])


def test_joint_loss_is_the_weighted_sum_and_reaches_the_time_head_through_the_noise() -> None:
    torch.manual_seed(0)
    network, batch = JointNetwork(MoreRedOptions(n_features=16)), ethanol_like(2)

    def loss(**weights: float) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(1)
        return losses("morered-joint", network, batch, SCHEDULE, (0, 999), generator, **weights)

    parts = loss()
    expected = 0.9 * parts["noise"] + 0.1 * parts["time"]
    torch.testing.assert_close(parts["loss"], expected)
    loss(noise_weight=1.0, time_weight=0.0)["loss"].backward()
    gradient = network.time_head.outnet[0].weight.grad
    assert gradient is not None and float(gradient.abs().max()) > 0


def test_time_target_is_the_step_over_t_minus_one() -> None:
    seen = {}

    class Recorder(TimeNetwork):
        def atom_times(self, batch: Batch) -> torch.Tensor:
            seen["batch"] = batch
            return torch.zeros(len(batch.numbers), requires_grad=True)

    batch = ethanol_like(4)
    generator = torch.Generator().manual_seed(0)
    loss = losses(
        "morered-time", Recorder(MoreRedOptions(n_features=8)), batch, SCHEDULE, (999, 1000), generator
    )["loss"]
    assert float(loss.detach()) == pytest.approx(1.0)  # the last step is T - 1, of which the time is 1
    # Nothing but noise is left of the geometry there.
    assert float(seen["batch"].positions.std()) == pytest.approx(np.sqrt(8 / 9), abs=0.15)
    steps = (250, 250)
    loss = losses("morered-time", Recorder(MoreRedOptions(n_features=8)), batch, SCHEDULE, steps, generator)[
        "loss"
    ]
    assert float(loss.detach()) == pytest.approx((250 / 999) ** 2)


def test_losses_refuse_networks_and_schedules_of_another_kind() -> None:
    batch, generator = ethanol_like(1), torch.Generator()
    small = MoreRedOptions(n_features=8)
    with pytest.raises(UserError, match="JointNetwork, not a NoiseNetwork"):
        losses("morered-joint", NoiseNetwork(small), batch, SCHEDULE, (0, 9), generator)
    with pytest.raises(UserError, match="kind: morered"):
        losses(
            "morered-noise",
            NoiseNetwork(small),
            batch,
            NoiseSchedule.polynomial(),
            (0, 9),
            generator,
        )
    with pytest.raises(UserError, match="force-field"):
        losses("energy-forces", NoiseNetwork(small), batch, SCHEDULE, (0, 9), generator)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e11])
def test_a_batch_with_a_hopeless_loss_is_skipped(
    bad: float, repository: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LOSSES["morered-joint"]
    calls = []

    def sometimes_bad(network: Any, *arguments: Any, **options: Any) -> Any:
        if not network.training:
            return real(network, *arguments, **options)
        calls.append([p.detach().clone() for p in network.parameters()])
        made = real(network, *arguments, **options)
        return {**made, "loss": made["loss"] * 0 + bad} if len(calls) == 2 else made

    monkeypatch.setitem(training_losses.LOSSES, "morered-joint", sometimes_bad)
    path = repository / "config" / "training" / "morered-jt-qm9-small.yaml"
    config = shrunk_config(path, tmp_path / "run", data_folder / "qm9_small_test.npz", n_steps=4)
    run(config, tmp_path)
    first, second, third, fourth = calls
    assert all(torch.equal(a, b) for a, b in zip(second, third, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(third, fourth, strict=True))
    assert all(torch.isfinite(p).all() for p in fourth)


def force_field_config(repository: Path, folder: Path, data: Path, n_steps: int) -> dict[str, Any]:
    path = repository / "config" / "training" / "mlff-qm7x-small.yaml"
    return shrunk_config(path, folder, data, n_steps, format="qm7x")


def test_force_field_trains_and_serves_as_an_engine(
    repository: Path, data_folder: Path, tmp_path: Path
) -> None:
    data = data_folder / "qm7x_nonequilibrium_2500.npz"
    config = force_field_config(repository, tmp_path / "run", data, n_steps=4)
    config["data"]["limit"] = 64
    folder = run(config, tmp_path)
    level = Level(engine="mlff", method=str(folder))
    validate_level(level)
    assert len(level_settings(level)["weights_sha256"]) == 64

    with np.load(data) as arrays:
        numbers, positions, energy = arrays["z"][0], arrays["R"][0], float(arrays["E"][0, 0])
    atoms = Atoms(numbers[numbers > 0], positions[numbers > 0])
    atoms.calc = make_calculator(level)
    # The atom energies alone bring the total energy within some eV of the truth.
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=30)
    moved = atoms.copy()
    moved.calc = atoms.calc
    step = 0.01
    moved.positions[3, 1] += step
    up = moved.get_potential_energy()
    moved.positions[3, 1] -= 2 * step
    slope = (up - moved.get_potential_energy()) / (2 * step)
    assert atoms.get_forces()[3, 1] == pytest.approx(-slope, rel=0.05, abs=0.01)

    relaxation = Relaxation(**level.model_dump(), optimizer="lbfgs", max_steps=5)
    relaxed = relax_molecule(atoms.numbers, atoms.positions, 0, 1, relaxation)
    assert relaxed.status in ("ok", "not_converged") and relaxed.n_gradients == relaxed.n_steps + 1
    assert relaxed.start_energy_ev == pytest.approx(atoms.get_potential_energy())


def test_one_molecule_cannot_be_split(repository: Path, data_folder: Path, tmp_path: Path) -> None:
    data = data_folder / "qm7x_one_molecule_100.npz"
    with pytest.raises(UserError, match=r"data\.validation: 10 of 100 structures"):
        run(force_field_config(repository, tmp_path / "run", data, n_steps=2), tmp_path)


def test_the_engine_refuses_what_it_cannot_evaluate(
    repository: Path, data_folder: Path, tmp_path: Path
) -> None:
    data = data_folder / "qm7x_nonequilibrium_2500.npz"
    config = force_field_config(repository, tmp_path / "run", data, n_steps=1)
    config["data"]["limit"] = 16
    folder = run(config, tmp_path)
    for atoms, charge, words in (
        (Atoms("HF", [[0, 0, 0], [0, 0, 1]]), 0, "no parameters for F"),
        (Atoms("OH", [[0, 0, 0], [0, 0, 1]]), -1, "neutral closed-shell"),
    ):
        atoms.calc = make_calculator(Level(engine="mlff", method=str(folder)), charge=charge)
        with pytest.raises(Exception, match=words):
            atoms.get_potential_energy()
    with pytest.raises(ValueError, match="no model"):
        validate_level(Level(engine="mlff", method="no-such-force-field"))
    with pytest.raises(ValueError, match="neither basis"):
        validate_level(Level(engine="mlff", method=str(folder), basis="sto-3g"))


def test_a_level_is_checked_without_torch(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("network: {name: force-field}\n")
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    code = (
        "import sys; from prerelax.engines import Level, level_settings, validate_level;"
        "level = Level(engine='mlff', method=sys.argv[1]); validate_level(level); level_settings(level);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
