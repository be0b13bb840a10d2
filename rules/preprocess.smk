# One recording -> its features, a job each, or several for a long one; then folds and statistics over the dataset.


rule preprocess_part:
    input:
        lambda wc: recording_store(wc.recording),
    output:
        temp(directory("results/analyses/{analysis}/parts/{recording}/{part}.zarr")),
    log:
        "logs/preprocess_part/{analysis}/{recording}/{part}.log",
    benchmark:
        "logs/benchmarks/preprocess_part/{analysis}/{recording}/{part}.tsv"
    wildcard_constraints:
        part="[0-9]+",
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 120 * attempt,
    params:
        system=system,
        block=lambda wc: block(wc, "preprocess"),
        code=lambda wc: code(wc, "preprocess"),
    shell:
        "pellucid preprocess --system {params.system:q} --params {params.block:q} --input {input:q}"
        " --part {wildcards.part} --output {output:q} 2>&1 | tee {log:q}"


rule preprocess:
    input:
        recording=lambda wc: recording_store(wc.recording),
        parts=part_stores,
    output:
        directory("results/analyses/{analysis}/features/{recording}.zarr"),
    log:
        "logs/preprocess/{analysis}/{recording}.log",
    benchmark:
        "logs/benchmarks/preprocess/{analysis}/{recording}.tsv"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 240 * attempt,
    params:
        system=system,
        block=features_block,
        code=lambda wc: code(wc, "preprocess"),
    shell:
        "pellucid preprocess --system {params.system:q} --params {params.block:q} --input {input.recording:q}"
        " --parts {input.parts:q} --output {output:q} 2>&1 | tee {log:q}"


rule features:
    input:
        feature_stores,
    output:
        "results/analyses/{analysis}/features.json",
    log:
        "logs/features/{analysis}.log",
    benchmark:
        "logs/benchmarks/features/{analysis}.tsv"
    resources:
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
    params:
        system=system,
        recordings=lambda wc: [recording_store(name) for name in recordings(wc.analysis)],
        block=features_block,
        code=lambda wc: code(wc, "preprocess"),
    shell:
        "pellucid collect features --system {params.system:q} --params {params.block:q} --inputs {input:q}"
        " --recordings {params.recordings:q} --output {output:q} 2>&1 | tee {log:q}"
