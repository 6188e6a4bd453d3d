"""What a training costs: floating-point operations of its loss and gradient, counted by torch.

    .venv/bin/python benchmarks/training_cost.py CAMPAIGN.yaml DENOISER SET.npz --structures 100000

The network and loss are those of the campaign's denoiser. SET gives eight structures to count on, as
large as the campaign's own; `--structures` says how many the training has in an epoch. Hours are
those of a GPU at `--tflops`, a guess until somebody measures it: small graphs reach a part of its peak.
"""

import argparse
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from prerelax.campaign.stages import read_campaign
from prerelax.campaign.trainings import training
from prerelax.denoisers.checkpoint import make_schedule
from prerelax.networks import build_network
from prerelax.training.module import DenoiserModule
from prerelax.training.run import _streams

COUNTED = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("campaign", type=Path)
    parser.add_argument("denoiser")
    parser.add_argument("set", type=Path)
    parser.add_argument("--structures", type=int, required=True, help="of an epoch")
    parser.add_argument(
        "--tflops", type=float, default=10.0, help="that the GPU reaches, 10¹² operations a second"
    )
    arguments = parser.parse_args()
    config = training(read_campaign(arguments.campaign), arguments.denoiser)
    few: dict[str, object] = {
        "path": str(arguments.set),
        "exclude": [],
        "unlike": [],
        "validation": 1,
        "limit": COUNTED,
    }
    optimization = config.optimization.model_copy(update={"batch_size": COUNTED})
    config = config.model_copy(
        update={"data": config.data.model_copy(update=few), "optimization": optimization}
    )
    network = build_network(config.network.model_dump())
    module = DenoiserModule(network, make_schedule(config.schedule.model_dump()), config.loss, optimization)
    batch = next(iter(_streams(config, network)[0]))
    with FlopCounterMode(display=False) as counter:
        module._losses(batch, 0, 0)["loss"].backward()
    each = counter.get_total_flops() / batch.n_molecules
    epochs = config.optimization.max_epochs or 1
    total = each * arguments.structures * epochs
    parameters = sum(p.numel() for p in network.parameters())
    sizes = batch.n_atoms.double().mean()
    hours = total / arguments.tflops / 1e12 / 3600
    print(
        f"{arguments.denoiser}: {parameters / 1e6:.2f} million parameters, {sizes:.1f} atoms, "
        f"{each / 1e9:.2f} GFLOP a structure, {epochs} epochs of {arguments.structures}: "
        f"{total:.1e} operations, {hours:.0f} GPU hours at {arguments.tflops:g} TFLOP/s"
    )


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
