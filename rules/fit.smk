# One network per (model, fold, seed), a job each; then one table of all, and their scores on test rows.


rule fit:
    input:
        ancient(feature_stores),
        features=rules.features.output,
    output:
        directory("results/analyses/{analysis}/fits/{model}/{fold}-{seed}"),
    log:
        "logs/fit/{analysis}/{model}/{fold}-{seed}.log",
    benchmark:
        "logs/benchmarks/fit/{analysis}/{model}/{fold}-{seed}.tsv"
    threads: lambda wc: getattr(device(wc), "threads", 1)
    resources:
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: 720 * attempt,
        gpu=lambda wc: int(getattr(device(wc), "name", "cpu") == "cuda"),
    params:
        system=system,
        block=fit_block,
        code=lambda wc: code(wc, "fit"),
    shell:
        "pellucid fit --system {params.system:q} --model {wildcards.model} --fold {wildcards.fold}"
        " --seed {wildcards.seed} --params {params.block:q} --features {input.features:q} --output {output:q}"
        " 2>&1 | tee {log:q}"


rule fits:
    input:
        fits=fit_folders,
        features=rules.features.output,
    output:
        "results/analyses/{analysis}/fits.json",
    log:
        "logs/fits/{analysis}.log",
    benchmark:
        "logs/benchmarks/fits/{analysis}.tsv"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        system=system,
        code=lambda wc: code(wc, "fit"),
    shell:
        "pellucid collect fits --features {input.features:q} --inputs {input.fits:q} --output {output:q}"
        " 2>&1 | tee {log:q}"


rule evaluate:
    input:
        ancient(feature_stores),
        ancient(fit_folders),
        features=rules.features.output,
        fits=rules.fits.output,
        truth=truth,
    output:
        metrics="results/analyses/{analysis}/metrics.json",
        predictions=directory("results/analyses/{analysis}/predictions.zarr"),
    log:
        "logs/evaluate/{analysis}.log",
    benchmark:
        "logs/benchmarks/evaluate/{analysis}.tsv"
    resources:
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: 120 * attempt,
    params:
        system=system,
        block=lambda wc: block(wc, "evaluate"),
        code=lambda wc: code(wc, "evaluate"),
    shell:
        "pellucid evaluate --system {params.system:q} --params {params.block:q} --features {input.features:q}"
        " --fits {input.fits:q} --truth {input.truth:q} --metrics {output.metrics:q}"
        " --predictions {output.predictions:q} 2>&1 | tee {log:q}"
