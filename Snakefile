# Raw recordings -> recordings -> features -> fits -> attribution -> figures and a report.
# Rules say when; the package in workflow/ says how. Every rule calls one `pellucid` command.
from snakemake.utils import min_version

min_version("9.27")


# A plain `configfile:` would merge the demo into the file given by --configfile.
if "analyses" not in config:

    configfile: "config.yaml"


container: "envs/pellucid.sif"


wildcard_constraints:
    name="[a-z][a-z0-9_]*",
    dataset="[a-z][a-z0-9_]*",
    recording="[a-z][a-z0-9_]*",
    analysis="[a-z][a-z0-9_]*",
    model="[a-z][a-z0-9_]*",
    fold="[0-9]+",
    seed="[0-9]+",


include: "rules/common.smk"
include: "rules/fetch.smk"
include: "rules/convert.smk"
include: "rules/preprocess.smk"
include: "rules/fit.smk"
include: "rules/attribute.smk"
include: "rules/figures.smk"


guard()


rule all:
    default_target: True
    input:
        rules.report.output,
        expand(rules.figures.output, analysis=config["analyses"]),


onsuccess:
    record()
