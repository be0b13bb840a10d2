# One recording -> its features, a job each; then folds and statistics over the dataset.


def recording_store(wildcards):
    dataset = config["analyses"][wildcards.analysis]["dataset"]
    return f"results/recordings/{dataset}/{wildcards.recording}.zarr"


def feature_stores(wildcards):
    return expand(rules.preprocess.output, analysis=wildcards.analysis, recording=recordings(wildcards.analysis))


rule preprocess:
    input:
        recording_store,
    output:
        directory("results/analyses/{analysis}/features/{recording}.zarr"),
    params:
        system=system,
        block=lambda wc: block(wc, "preprocess"),
        code=lambda wc: code(wc, "preprocess"),
    log:
        "logs/preprocess/{analysis}/{recording}.log",
    benchmark:
        "logs/benchmarks/preprocess/{analysis}/{recording}.tsv"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 240 * attempt,
    shell:
        "pellucid preprocess --system {params.system:q} --params {params.block:q} --input {input:q}"
        " --output {output:q} 2>&1 | tee {log:q}"


rule features:
    input:
        feature_stores,
    output:
        "results/analyses/{analysis}/features.json",
    params:
        system=system,
        recordings=lambda wc: [recording_store(Namedlist(fromdict={**wc, "recording": r})) for r in recordings(wc.analysis)],
        block=lambda wc: block(wc, "preprocess"),
        code=lambda wc: code(wc, "preprocess"),
    log:
        "logs/features/{analysis}.log",
    benchmark:
        "logs/benchmarks/features/{analysis}.tsv"
    resources:
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
    shell:
        "pellucid collect features --system {params.system:q} --params {params.block:q} --inputs {input:q}"
        " --recordings {params.recordings:q} --output {output:q} 2>&1 | tee {log:q}"
