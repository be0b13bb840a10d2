# Raw data that we simulate or fetch ourselves; a local path needs no rule.


rule simulate:
    output:
        directory("data/raw/{name}"),
    log:
        "logs/simulate/{name}.log",
    benchmark:
        "logs/benchmarks/simulate/{name}.tsv"
    wildcard_constraints:
        name="|".join(config["simulate"]) or "-",
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=30,
    params:
        system=lambda wc: config["simulate"][wc.name]["system"],
        seed=lambda wc: config["simulate"][wc.name]["seed"],
        block=lambda wc: json.dumps(config["simulate"][wc.name]["options"], sort_keys=True),
        code=lambda wc: sources.digest("simulate", system=config["simulate"][wc.name]["system"]),
    shell:
        "pellucid simulate --system {params.system:q} --seed {params.seed} --params {params.block:q}"
        " --output {output:q} 2>&1 | tee {log:q}"


rule fetch:
    output:
        directory("data/raw/{name}"),
    log:
        "logs/fetch/{name}.log",
    benchmark:
        "logs/benchmarks/fetch/{name}.tsv"
    wildcard_constraints:
        name="|".join(config["fetch"]) or "-",
    retries: 2
    resources:
        mem_mb=1000,
        runtime=lambda wc, attempt: 240 * attempt,
    params:
        block=lambda wc: json.dumps(config["fetch"][wc.name], sort_keys=True),
        code=sources.digest("fetch"),
    shell:
        "pellucid fetch --params {params.block:q} --output {output:q} 2>&1 | tee {log:q}"
