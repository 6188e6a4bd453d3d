"""What SLURM adds to the example campaign: `python tests/cluster/measure_overhead.py` on the test cluster.

Prints the table of docs/results/workflow.md. A job's time is without its wait in the queue and without
Snakemake's pauses between its looks at the queue; the campaign's wall time has them. One job at a time, here
and there.
"""

import csv
import re
import tempfile
import time
from pathlib import Path

import yaml
from slurm_campaign import REPOSITORY, Cluster, cluster_profile, job_environment, slurm, snakemake_locally


def seconds(clock: str) -> int:
    """Of SLURM's HH:MM:SS."""
    hours, minutes, rest = map(int, clock.split(":"))
    return 3600 * hours + 60 * minutes + rest


def commands_s(folder: Path) -> dict[str, list[float]]:
    """Seconds of each command by rule, as Snakemake's benchmark files have them."""
    times: dict[str, list[float]] = {}
    benchmarks = folder / "results/example/benchmarks"
    for path in benchmarks.rglob("*.tsv"):
        rule = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        with path.open() as file:
            times.setdefault(rule, []).append(float(next(csv.DictReader(file, delimiter="\t"))["s"]))
    return times


def jobs_s(cluster: Cluster) -> dict[str, list[int]]:
    """Seconds that SLURM's jobs ran, by rule."""
    times: dict[str, list[int]] = {}
    for job in cluster.jobs:
        said = slurm("scontrol", "show", "job", job)
        rule = re.search(r"Comment=rule_(\w+?)(_wildcards|\s)", said)
        run = re.search(r"RunTime=(\S+)", said)
        assert rule and run
        times.setdefault(rule[1], []).append(seconds(run[1]))
    return times


def main() -> None:
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folders = {where: Path(name) / where for where in ("local", "cluster")}
        for folder in folders.values():
            folder.mkdir()
            (folder / "examples").symlink_to(REPOSITORY / "examples")
        began = time.monotonic()
        snakemake_locally(folders["local"], config)
        local_s = time.monotonic() - began
        profile = cluster_profile() | {"jobs": 1}
        cluster = Cluster(folders["cluster"], profile, job_environment(folders["cluster"]), config)
        began = time.monotonic()
        assert cluster.run(seconds=1800) == 0, cluster.log
        cluster_s = time.monotonic() - began
        jobs, commands, at_home = (
            jobs_s(cluster),
            commands_s(folders["cluster"]),
            commands_s(folders["local"]),
        )
    print("| rule | jobs | commands, local s | commands, SLURM s | jobs, SLURM s | added to each job s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rules in [*([rule] for rule in jobs), list(jobs)]:
        n_jobs = sum(len(jobs[rule]) for rule in rules)
        home, ours, slurms = (
            sum(sum(times.get(rule, [])) for rule in rules) for times in (at_home, commands, jobs)
        )
        name = rules[0] if len(rules) == 1 else "together"
        print(f"| {name} | {n_jobs} | {home:.1f} | {ours:.1f} | {slurms} | {(slurms - ours) / n_jobs:.1f} |")
    print(f"\nWall time of the campaign: {local_s:.0f} s local on one core, {cluster_s:.0f} s through SLURM")


if __name__ == "__main__":
    main()
