"""The configuration: a mistake is refused with file, key, nearest known key, and what to do."""

import copy
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from pellucid import config, systems
from pellucid.errors import ConfigError, MissingError

ROOT = Path(__file__).parents[2]
CONFIGURATIONS = sorted([*ROOT.glob("config.yaml"), *ROOT.glob("configs/*/config.yaml")])


@pytest.fixture
def raw(toy):
    return yaml.safe_load((toy / "config.yaml").read_text())


def set_at(raw: dict, path: str, value: object) -> dict:
    changed = copy.deepcopy(raw)
    *parents, last = path.split(".")
    block = changed
    for key in parents:
        block = block[key]
    block[last] = value
    return changed


def test_a_correct_configuration_is_returned_as_written(toy, raw):
    assert config.read(toy / "config.yaml") == raw
    assert config.read(toy / "small.yaml")["name"] == "small"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "analysis",
            {},
            r"c.yaml, analysis: .*unknown 'analysis'. Did you mean 'analyses'\? Known keys here: analyses, c",
        ),
        (
            "simulate.colony.sed",
            1,
            r"c.yaml, simulate.colony.sed: .*mean 'seed'\? Known keys here: options, seed, system",
        ),
        (
            "simulate.colony.options.trial",
            1,
            r"colony.options.trial: .*mean 'trials'\? .*here: kind, subjects, trials.",
        ),
        (
            "recordings.m0_0.datset",
            "x",
            r"recordings.m0_0.datset: .*mean 'dataset'\? Known keys here: citation, dataset",
        ),
        (
            "recordings.m0_0.options.group",
            {},
            r"recordings.m0_0.options.group: .*mean 'groups'\? Known keys here: groups",
        ),
        (
            "analyses.mice.preprocess.split",
            {"fold": 2},
            r"mice.preprocess.split.fold: .*mean 'folds'\? .*here: by, folds,",
        ),
        ("analyses.mice.fit.share", {}, r"mice.fit.share: .*mean 'shared'\? Known keys here: models, seeds, shared."),
        (
            "analyses.mice.fit.shared.device",
            {"thread": 1},
            r"shared.device.thread: .*'threads'\? .*here: name, threads.",
        ),
        ("analyses.mice.fit.models.ridge", {"penalti": 1}, r"fit.models.ridge.penalti: .*mean 'penalty'\?"),
        ("analyses.mice.fit.models.ridge", {"penalty": -1}, r"ridge.penalty: expected greater than 0, found -1"),
        ("analyses.mice.fit.seeds", [0, 0], r"mice.fit.seeds: expected each seed once, found \[0, 0\]"),
        ("analyses.mice.figures.dpi", "many", r"mice.figures.dpi: expected a valid integer"),
        ("analyses.mice.system", "tow", r"analyses.mice.system: expected one of toy, twin, found 'tow'. Did you mean"),
        (
            "analyses.mice.fit.shared.kind",
            "rigde",
            r"shared.kind: expected one of ridge, nearest_mean, found 'rigde'. Did",
        ),
        (
            "analyses.mice.dataset",
            "colon",
            r"mice.dataset: .*\(colony, gallery, lab\), found 'colon'. Did you mean 'colony'",
        ),
        ("recordings.m0_0.reader", "nympy", r"m0_0.reader: expected one of .*found 'nympy'. Did you mean 'numpy'\?"),
        (
            "recordings.m0_0.raw",
            "data/raw/colny",
            r"m0_0.raw: .*\(colony, gallery\).*found data/raw/colny. Did you mean",
        ),
        ("recordings.M0", {}, r"recordings.M0"),
        ("fetch.colony", None, r"fetch.colony"),
    ],
)
def test_a_mistake_is_named(raw, path, value, message):
    with pytest.raises(ConfigError, match=message):
        config.check(set_at(raw, path, value), "c.yaml")


@pytest.mark.parametrize("key", ["name", "root", "simulate", "fetch", "recordings", "analyses"])
def test_a_missing_key_is_named(raw, key):
    del raw[key]
    with pytest.raises(ConfigError, match=f"c.yaml, {key}: expected the key '{key}', found none"):
        config.check(raw, "c.yaml")


def test_a_misspelt_key_is_named_rather_than_the_one_it_leaves_missing(raw):
    raw["recordigs"] = raw.pop("recordings")
    with pytest.raises(ConfigError, match=r"unknown 'recordigs'. Did you mean 'recordings'"):
        config.check(raw, "c.yaml")


def test_names_made_twice_are_refused(raw):
    entry = {"files": {"a": {"url": "https://a.org/a", "sha256": "0" * 64}}, "licence": "CC0", "citation": "none"}
    with pytest.raises(ConfigError, match="simulate and fetch to share no name"):
        config.check(set_at(raw, "fetch.colony", entry), "c.yaml")


def test_keys_written_twice_are_refused(tmp_path, toy):
    (tmp_path / "c.yaml").write_text("name: a\nanalyses:\n  x: {}\n  x: {}\n")
    with pytest.raises(ConfigError, match=r"c.yaml, line 4: expected each key once, found 'x' again"):
        config.read(tmp_path / "c.yaml")


def test_what_is_no_yaml_or_no_file_is_said(tmp_path):
    (tmp_path / "c.yaml").write_text("a: [1\n")
    with pytest.raises(ConfigError, match="expected YAML"):
        config.load(tmp_path / "c.yaml")
    with pytest.raises(MissingError, match="no such file"):
        config.load(tmp_path / "d.yaml")


def test_a_model_changes_what_it_names_and_keeps_the_rest_at_any_depth():
    fit = {
        "shared": {"rate": 1, "device": {"name": "cpu", "threads": 2}},
        "models": {"gpu": {"device": {"name": "cuda"}}},
    }
    assert config.fit_settings(fit, "gpu") == {"rate": 1, "device": {"name": "cuda", "threads": 2}}
    assert config.fit_settings({}, "main") == {}


def test_raw_paths_are_told_apart():
    paths = {"data/raw/a": "a", "data/raw/a/b.bin": "a", "data/raw": "", "lab/a": None, "/data/raw/a": None}
    assert {path: config.made_from(path) for path in paths} == paths


def test_the_schema_file_is_current():
    assert set(systems.SYSTEMS) - {"toy", "twin"}
    written = json.loads((ROOT / "workflow/schemas/config.json").read_text())
    assert written == json.loads(json.dumps(config.json_schema())), "run `make schema`"


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_configuration_of_the_repository_is_correct(path):
    raw = config.read(path)
    assert raw["config"] == path.relative_to(ROOT).as_posix()
    assert (path.parent / raw["root"]).resolve() == ROOT
    assert (path.parent / "dvc.yaml").resolve() == ROOT / "dvc.yaml"


def test_names_are_unique_over_all_configurations():
    names: Counter[str] = Counter()
    for path in CONFIGURATIONS:
        raw = config.load(path)
        made = {f"data/raw/{name}" for name in (*raw["simulate"], *raw["fetch"])}
        datasets = {f"dataset {recording['dataset']}" for recording in raw["recordings"].values()}
        kept = {f"{kind} {name}" for kind in ("recordings", "analyses") for name in raw[kind]}
        names.update({raw["name"], *made, *datasets, *kept})
    assert [name for name, count in names.items() if count > 1] == []
