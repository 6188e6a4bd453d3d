"""Molecules per second of the samplers, on a number of threads, and where a network call spends its time.

    python benchmarks/diffuse_throughput.py --model edm-qm9-small --threads 2 --limit 512

Geometries are the MMFF94 minima of `qm9_val.npz` ($PRERELAX_DATA, default ../shared/data). Wall seconds are
what a user waits; CPU seconds are less disturbed by whatever else the machine does.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from prerelax.denoisers.checkpoint import LoadedModel, load_model
from prerelax.diffusion.evaluation import CARD_ROWS, read_evaluation_set
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.networks.staged import StagedNetwork

GROUPS = {
    "matrix products": ("mm", "addmm"),
    "gathering atoms into pairs": ("index_select",),
    "sums over pairs": ("index_add", "index_add_", "scatter_add_"),
    "activations": ("silu", "silu_", "sigmoid", "tanh", "exp", "clamp"),
}
"""What torch's operators belong to; all others are `other`."""


def main() -> None:
    """Print both tables as Markdown."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    model = load_model(arguments.model)
    inputs = read_evaluation_set(arguments.data, model, arguments.limit).inputs
    print(f"{len(inputs)} molecules, {arguments.threads} threads, load {os.getloadavg()[0]:.1f}\n")
    print("| sampler | calls | molecules/s | molecules per CPU second |\n| --- | --- | --- | --- |")
    staged = isinstance(model.network, StagedNetwork)  # makes its own calls and no others
    own = SamplerOptions(sampler="few", steps=model.sampler_defaults.get("steps"))
    for row in (own,) if staged else CARD_ROWS:
        print(measure(model, inputs, row))
    if staged:
        return
    print("\n| part of the sampling, n = 20 | share of the CPU time |\n| --- | --- |")
    for part, share in time_shares(model, inputs[:64]).items():
        print(f"| {part} | {100 * share:.0f} % |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = Path(os.environ.get("PRERELAX_DATA", "../shared/data")) / "qm9_val.npz"
    parser.add_argument("--model", default="edm-qm9-small")
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=512)
    return parser.parse_args()


def measure(model: LoadedModel, inputs: list[SamplerInput], options: SamplerOptions) -> str:
    """A table row for one sampler."""
    sample(model, inputs[:32], options)  # warm up
    wall, cpu = time.perf_counter(), time.process_time()
    results = sample(model, inputs, options)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    kind = " without noise" if options.noise_free else ""
    cells = [f"{options.sampler}{kind}, n = {options.steps}", str(results[0].n_calls)]
    cells += [f"{len(inputs) / wall:.1f}", f"{len(inputs) / cpu:.1f}"]
    return f"| {' | '.join(cells)} |"


def time_shares(model: LoadedModel, inputs: list[SamplerInput]) -> dict[str, float]:
    """Shares of the CPU time of a noise-free tail of 20 steps, by GROUPS, largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        sample(model, inputs, SamplerOptions(sampler="edm", steps=20, noise_free=True))
    group_of = {f"aten::{name}": group for group, names in GROUPS.items() for name in names}
    seconds: dict[str, float] = defaultdict(float)
    for event in recorded.key_averages():
        seconds[group_of.get(event.key, "other")] += event.self_cpu_time_total
    total = sum(seconds.values())
    return {name: seconds[name] / total for name in sorted(seconds, key=lambda name: -seconds[name])}


if __name__ == "__main__":
    main()
