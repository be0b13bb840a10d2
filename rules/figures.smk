# Figures with captions and numbers for each analysis, and one report over all of them.
REPORT = f"results/reports/{config['name']}"


rule figures:
    input:
        ancient(feature_stores),
        ancient(fit_folders),
        features=rules.features.output,
        fits=rules.fits.output,
        metrics=rules.evaluate.output.metrics,
        predictions=rules.evaluate.output.predictions,
        attribution=rules.attribute.output,
    output:
        figures=report(
            directory("results/analyses/{analysis}/figures"),
            patterns=["{figure}.svg"],
            caption="../workflow/report/figure.rst",
            category="{analysis}",
            labels={"figure": "{figure}"},
        ),
        page=directory(f"{REPORT}/pages/{{analysis}}"),
    log:
        "logs/figures/{analysis}.log",
    benchmark:
        "logs/benchmarks/figures/{analysis}.tsv"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=30,
    params:
        system=system,
        block=lambda wc: block(wc, "figures"),
        code=lambda wc: code(wc, "figures"),
    shell:
        "pellucid figures --analysis {wildcards.analysis} --system {params.system:q} --params {params.block:q}"
        " --features {input.features:q} --fits {input.fits:q} --metrics {input.metrics:q}"
        " --predictions {input.predictions:q} --attribution {input.attribution:q}"
        " --output {output.figures:q} --page {output.page:q} 2>&1 | tee {log:q}"


rule report:
    input:
        expand(rules.figures.output.page, analysis=config["analyses"]),
    output:
        page=report(f"{REPORT}/index.html", caption="../workflow/report/report.rst", category="report"),
        numbers=f"{REPORT}/numbers.csv",
        text=f"{REPORT}/numbers.txt",
    log:
        f"logs/report/{config['name']}.log",
    benchmark:
        f"logs/benchmarks/report/{config['name']}.tsv"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        folder=lambda wc, output: str(Path(output.page).parent),
        code=sources.digest("report"),
    shell:
        "pellucid report --pages {input:q} --output {params.folder:q} 2>&1 | tee {log:q}"
