# What the trained networks of an analysis rely on.


rule attribute:
    input:
        ancient(feature_stores),
        ancient(fit_folders),
        features=rules.features.output,
        fits=rules.fits.output,
        truth=truth,
    output:
        directory("results/analyses/{analysis}/attribution.zarr"),
    log:
        "logs/attribute/{analysis}.log",
    benchmark:
        "logs/benchmarks/attribute/{analysis}.tsv"
    resources:
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: 240 * attempt,
    params:
        system=system,
        block=lambda wc: block(wc, "attribute"),
        code=lambda wc: code(wc, "attribute"),
    shell:
        "pellucid attribute --system {params.system:q} --params {params.block:q} --features {input.features:q}"
        " --fits {input.fits:q} --truth {input.truth:q} --output {output:q} 2>&1 | tee {log:q}"
