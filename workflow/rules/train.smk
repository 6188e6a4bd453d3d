rule train:
    input:
        config=lambda wildcards: campaign.denoisers[wildcards.denoiser],
        made=lambda wildcards: trained_on(campaign.denoisers[wildcards.denoiser]),
    output:
        weights=f"{RESULTS}/training/{{denoiser}}/model/weights.safetensors",
        config=f"{RESULTS}/training/{{denoiser}}/model/config.yaml",
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
        folder=f"{RESULTS}/training/{{denoiser}}",
    shell:
        "OMP_NUM_THREADS={threads} prerelax train {input.config:q} --resume"
        " --folder {params.folder:q} > {log:q} 2>&1"
