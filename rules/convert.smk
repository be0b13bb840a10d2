# Raw files of any format -> one zarr store per recording, all of one contract.


rule convert:
    input:
        raw_inputs,
    output:
        directory("results/recordings/{dataset}/{recording}.zarr"),
    log:
        "logs/convert/{dataset}/{recording}.log",
    benchmark:
        "logs/benchmarks/convert/{dataset}/{recording}.tsv"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 120 * attempt,
    params:
        raw=raw,
        block=lambda wc: json.dumps(config["recordings"][wc.recording], sort_keys=True),
        code=lambda wc: sources.digest("convert", reader=config["recordings"][wc.recording]["reader"]),
    shell:
        "pellucid convert --name {wildcards.recording} --params {params.block:q} --inputs {params.raw:q}"
        " --output {output:q} 2>&1 | tee {log:q}"
