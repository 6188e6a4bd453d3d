rule train:
    input:
        made=trained_on,
    output:
        weights=layout.weights("{denoiser}"),
        config=f"{layout.model('{denoiser}')}/config.yaml",
    log:
        f"{LOGS}/train/{{denoiser}}.log",
    benchmark:
        f"{BENCHMARKS}/train/{{denoiser}}.tsv"
    wildcard_constraints:
        denoiser=one_of(campaign.denoisers),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    params:
        settings=training_settings,
    shell:
        "OMP_NUM_THREADS={threads} prerelax train --settings {params.settings:q} --resume > {log:q} 2>&1"
