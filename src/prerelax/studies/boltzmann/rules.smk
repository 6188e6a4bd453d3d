# One denoising step repeated, against Metropolis Monte Carlo: a job for each step and for each temperature.

from prerelax.studies.boltzmann.config import Compared, Molecules
from prerelax.studies.study import part
from prerelax.studies.boltzmann.files import (
    energy_files,
    metropolis_files,
    row_files,
)

boltzmann = studies["boltzmann"]
BOLTZMANN = f"{RESULTS}/boltzmann"
BOLTZMANN_FIGURES = {
    "boltzmann_violins": "energies of repeated steps and of Metropolis",
    "boltzmann_laws": "energies against T and n², and their slopes",
    "boltzmann_temperature": "temperature of a repeated step",
    "boltzmann_heat_capacity": "heat capacities",
}
STUDY_FIGURES += expand(f"{RESULTS}/figures/{{name}}.png", name=BOLTZMANN_FIGURES)


rule boltzmann_molecules:
    input:
        [layout.start(boltzmann.minima, shard) for shard in SHARDS],
    output:
        frames=f"{BOLTZMANN}/minima.extxyz",
        table=f"{BOLTZMANN}/minima.parquet",
    log:
        f"{LOGS}/boltzmann_molecules.log",
    benchmark:
        f"{BENCHMARKS}/boltzmann_molecules.tsv"
    conda:
        ENVIRONMENT
    params:
        settings=lambda wildcards: as_json(part(Molecules, boltzmann)),
    shell:
        "prerelax study boltzmann molecules {input:q} {output.frames:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


# A chain goes on from what its job kept beside the output, however the job ended.
rule metropolis:
    input:
        rules.boltzmann_molecules.output.frames,
    output:
        f"{BOLTZMANN}/metropolis/{{temperature}}K.parquet",
    log:
        f"{LOGS}/metropolis/{{temperature}}K.log",
    benchmark:
        f"{BENCHMARKS}/metropolis/{{temperature}}K.tsv"
    wildcard_constraints:
        temperature=r"[\d.]+",
    conda:
        ENVIRONMENT
    threads: 2
    params:
        settings=lambda wildcards: as_json(
            boltzmann.metropolis(
                campaign.targets[boltzmann.target].level,
                float(wildcards.temperature),
            )
        ),
    shell:
        "prerelax study boltzmann metropolis {input:q} {output:q} --settings {params.settings:q}"
        " --workers {threads} > {log:q} 2>&1"


rule repeated_step:
    input:
        minima=rules.boltzmann_molecules.output.frames,
        weights=lambda wildcards: study_files.weights(boltzmann.model),
    output:
        rows=f"{BOLTZMANN}/{{scheme}}/rows-n{{step}}.extxyz",
        table=f"{BOLTZMANN}/{{scheme}}/rows-n{{step}}.parquet",
        frames=temp(f"{BOLTZMANN}/{{scheme}}/n{{step}}.extxyz"),
    log:
        f"{LOGS}/repeated_step/{{scheme}}-n{{step}}.log",
    benchmark:
        f"{BENCHMARKS}/repeated_step/{{scheme}}-n{{step}}.tsv"
    wildcard_constraints:
        scheme="repeat|perturb",
        step=r"\d+",
    conda:
        ENVIRONMENT
    params:
        settings=lambda wildcards: as_json(
            boltzmann.repeated_step(
                study_files.model(boltzmann.model),
                int(wildcards.step),
                wildcards.scheme,
            )
        ),
    shell:
        "OMP_NUM_THREADS={threads} prerelax study boltzmann repeat {input.minima:q} {output.rows:q}"
        " {output.frames:q} --settings {params.settings:q} > {log:q} 2>&1"


rule repeated_step_energies:
    input:
        f"{BOLTZMANN}/repeat/n{{step}}.extxyz",
    output:
        f"{BOLTZMANN}/energies/n{{step}}.extxyz",
    log:
        f"{LOGS}/repeated_step_energies/n{{step}}.log",
    benchmark:
        f"{BENCHMARKS}/repeated_step_energies/n{{step}}.tsv"
    wildcard_constraints:
        step=r"\d+",
    conda:
        ENVIRONMENT
    threads: 2
    params:
        settings=at_level(campaign.targets[boltzmann.target]),
    shell:
        "prerelax energies {input:q} {output:q} --settings {params.settings:q} --workers {threads} > {log:q} 2>&1"


rule boltzmann_figures:
    input:
        metropolis_files(Path(BOLTZMANN), boltzmann.temperatures_k),
        energy_files(Path(BOLTZMANN), boltzmann.steps),
        row_files(Path(BOLTZMANN), "repeat", boltzmann.steps),
        row_files(Path(BOLTZMANN), "perturb", boltzmann.control),
    output:
        [
            report(
                f"{RESULTS}/figures/{name}.png",
                caption=f"report/{name}.rst",
                category="What the model knows",
                labels={"figure": words},
            )
            for name, words in BOLTZMANN_FIGURES.items()
        ],
        expand(
            f"{RESULTS}/figures/{{name}}.{{kind}}",
            name=BOLTZMANN_FIGURES,
            kind=["pdf", "csv"],
        ),
        f"{RESULTS}/figures/boltzmann_temperature_numbers.csv",
    log:
        f"{LOGS}/boltzmann_figures.log",
    benchmark:
        f"{BENCHMARKS}/boltzmann_figures.tsv"
    conda:
        ENVIRONMENT
    params:
        chains=BOLTZMANN,
        folder=subpath(output[0], parent=True),
        settings=lambda wildcards: as_json(part(Compared, boltzmann)),
    shell:
        "prerelax study boltzmann figures {params.chains:q} {params.folder:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"
