"""The stages as plain functions, on the toy system: what each writes, what each refuses, and what is never repeated."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from pellucid import store, systems
from pellucid.artifacts import HEADLINE, Features, Fit, load_fits
from pellucid.errors import ConfigError, DataError, SchemaError
from pellucid.stages import attribute, convert, evaluate, figures, fit, preprocess, report, simulate


@pytest.fixture
def raw(toy, tmp_path, monkeypatch):
    """Work in an empty folder with the raw data and configuration of the toy."""
    monkeypatch.chdir(tmp_path)
    simulate.simulate("toy", 1, {"kind": "trials"}, Path("data/raw/colony"))
    return yaml.safe_load((toy / "config.yaml").read_text())


@pytest.fixture
def features(raw):
    """Return features.json of six recordings of three subjects, split by subject."""
    names = [name for name in raw["recordings"] if name[:2] in ("m1", "m2", "m3")][:6]
    for name in names:
        block = raw["recordings"][name]
        convert.convert(name, block, [Path(block["raw"])], Path(f"recordings/{name}.zarr"))
        preprocess.preprocess("toy", {}, Path(f"recordings/{name}.zarr"), Path(f"features/{name}.zarr"))
    return collect([Path(f"features/{name}.zarr") for name in names])


def collect(stores: list[Path]) -> Path:
    preprocess.collect_features("toy", {"split": {"by": "subject", "folds": 3}}, stores, Path("features.json"))
    return Path("features.json")


def train(features: Path, model: str = "main", fold: int = 0, **settings: object) -> Path:
    output = Path(f"fits/{model}/{fold}-0")
    fit.fit("toy", model, fold, 0, settings, features, output)
    return output


def started() -> list[Path]:
    return sorted(fit.CHECKPOINTS.glob("*/started"))


def test_a_simulation_lists_its_files_and_repeats_itself(raw):
    manifest = store.read_json(Path("data/raw/colony/manifest.json"))
    assert len([name for name in manifest if name.endswith(".npz")]) == 10
    assert manifest["truth.zarr"]["sha256"] == store.digest(Path("data/raw/colony/truth.zarr"))
    simulate.simulate("toy", 1, {"kind": "trials"}, Path("data/raw/again"))
    simulate.simulate("toy", 2, {"kind": "trials"}, Path("data/raw/other"))
    digests = [store.digest(Path("data/raw") / name) for name in ("colony", "again", "other")]
    assert digests[0] == digests[1] != digests[2]


def test_features_are_opened_as_they_were_collected(features):
    opened = Features.load(features)
    assert [len(opened.folds), *opened.statistics["mean"].shape] == [3, 3, 2]
    assert {name[:2] for name in opened.folds[0].test} == {"m1"}
    assert not set(opened.folds[0].train) & set(opened.folds[0].test)
    before = features.read_bytes()
    assert collect([Path(f"features/{name}.zarr") for name in reversed(opened.stores)]).read_bytes() == before


def test_features_that_no_one_names_are_deleted(features):
    names = list(Features.load(features).stores)
    collect([Path(f"features/{name}.zarr") for name in names if name != "m1_2"])
    assert not Path("features/m1_2.zarr").exists()
    assert Path("recordings/m1_2.zarr").exists()


def test_the_same_data_under_two_names_are_refused(features):
    shutil.copytree("features/m1_0.zarr", "features/twice.zarr")
    with pytest.raises(DataError, match=r"recordings.twice: .*found the same data as in recordings.m1_0"):
        preprocess.refuse_duplicates([Path("features/m1_0.zarr"), Path("features/twice.zarr")])


def test_a_fit_writes_weights_settings_and_history(features):
    found = Fit.load(train(features, penalty=2.0))
    assert (found.model, found.fold, found.seed, found.settings["penalty"]) == ("main", 0, 0, 2.0)
    assert found.weights()["weights"].shape == (2,)
    assert found.history()[0]["training"] > 0.5


def test_a_finished_fit_is_not_trained_again_even_under_another_name(features, monkeypatch):
    first = store.digest(train(features))
    monkeypatch.setattr(systems, "entry", lambda *_: pytest.fail("trained again"))
    assert store.digest(train(features)) == first
    again = Fit.load(train(features, model="copy"))
    assert again.model == "copy"
    np.testing.assert_array_equal(again.weights()["weights"], Fit.load(Path("fits/main/0-0")).weights()["weights"])


@pytest.mark.parametrize("change", ["settings", "fold", "features", "code"])
def test_whatever_changes_a_fit_trains_it_again(features, monkeypatch, change):
    train(features)
    if change == "code":
        monkeypatch.setattr("pellucid.stages.sources.digest", lambda *_, **__: "other")
    if change == "features":
        store.write_json(features, {**store.read_json(features), "settings": {"bins": 3}})
    train(features, fold=int(change == "fold"), **({"penalty": 3.0} if change == "settings" else {}))
    assert len(started()) == 2


def test_a_fit_that_fails_leaves_its_checkpoint_and_no_output(features, monkeypatch):
    def fail(*arguments: object) -> None:
        (arguments[-1] / "started").touch()
        raise DataError("x", expected="a", found="b", remedy="c")

    monkeypatch.setattr(systems, "entry", lambda *_: fail)
    with pytest.raises(DataError):
        train(features)
    assert len(started()) == 1
    assert not Path("fits").exists()


def test_fits_that_no_one_names_are_deleted(features):
    kept, other, gone = train(features), train(features, fold=1), train(features, model="old")
    fit.collect_fits(features, [kept], Path("fits.json"))
    assert [entry.folder for entry in load_fits(Path("fits.json"))] == [kept]
    assert not other.exists()
    assert not gone.parent.exists()


@pytest.fixture
def scored(features):
    """Return fits.json of an analysis that is evaluated and attributed."""
    fit.collect_fits(features, [train(features, fold=fold) for fold in range(3)], Path("fits.json"))
    places = {"metrics": Path("metrics.json"), "predictions": Path("predictions.zarr")}
    evaluate.evaluate("toy", {}, features, Path("fits.json"), **places, truth=[Path("data/raw/colony")])
    attribute.attribute("toy", {}, features, Path("fits.json"), Path("attribution.zarr"))
    return Path("fits.json")


def draw(features: Path, scored: Path, analysis: str) -> Path:
    page = Path(f"report/pages/{analysis}")
    made = [Path(name) for name in ("metrics.json", "predictions.zarr", "attribution.zarr")]
    figures.figures(analysis, "toy", {}, features, scored, *made, Path("figures"), page)
    return page


def test_evaluation_sees_truth_by_the_name_of_its_raw_folder(scored):
    metrics = store.read_json(Path("metrics.json"))
    assert metrics["headline"][0]["note"] == "1 simulated"
    assert [row["fold"] for row in metrics["table"]] == [0, 1, 2]
    assert metrics["headline"][0]["value"] > 0.6


def test_the_report_shows_every_analysis_and_drops_what_was_removed(features, scored):
    pages = [draw(features, scored, name) for name in ("one", "two")]
    draw(features, scored, "removed")
    report.report(pages, Path("report"))
    index = Path("report/index.html").read_text()
    assert index.count("data:image/png;base64,") == 2
    assert 'href="../figures/influence.csv"' in index
    assert [path.name for path in sorted(Path("report/pages").iterdir())] == ["one", "two"]
    lines = Path("report/numbers.csv").read_text().splitlines()
    assert lines[0].split(",") == ["analysis", *HEADLINE]
    assert [line.split(",")[0] for line in lines[1:]] == ["one", "two"]
    shown = Path("report/numbers.txt").read_text().splitlines()
    assert shown[0].split()[:4] == ["analysis", "model", "number", "value"]
    assert [line.split()[0] for line in shown[1:]] == ["one", "two"]


def test_equal_analyses_give_equal_bytes(features, scored):
    draw(features, scored, "one")
    places = [Path("figures"), Path("report/pages/one"), Path("metrics.json"), Path("attribution.zarr")]
    before = [store.digest(place) for place in places]
    evaluate.evaluate(
        "toy", {}, features, scored, Path("metrics.json"), Path("predictions.zarr"), [Path("data/raw/colony")]
    )
    attribute.attribute("toy", {}, features, scored, Path("attribution.zarr"))
    draw(features, scored, "one")
    assert [store.digest(place) for place in places] == before


@pytest.mark.parametrize("lost", figures.KINDS)
def test_a_figure_without_its_caption_or_numbers_is_refused(tmp_path, lost):
    for kind in figures.KINDS:
        (tmp_path / f"a{kind}").write_text("" if kind == lost else "x")
    with pytest.raises(DataError, match=f"found no a{lost}"):
        figures.check(tmp_path)


ROW = dict.fromkeys(HEADLINE, 1)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({}, "m, headline: expected a list of rows"),
        ({"headline": [ROW], "table": []}, "m, table: expected a list of rows"),
        ({"headline": [{"name": "r"}], "table": [{}]}, r"m, headline\[0\]: expected the keys model, name, value"),
        ({"headline": [ROW], "table": [{"a": 1}, {"b": 1}]}, r"m, table\[1\]: expected one value for each of a"),
        ({"headline": [ROW], "table": [{"a": [1]}]}, r"m, table\[0\]: .*found a with several"),
    ],
)
def test_metrics_without_headline_or_flat_table_are_refused(metrics, message):
    with pytest.raises(SchemaError, match=message):
        evaluate.check(metrics, "m")


def test_a_stage_refuses_settings_it_does_not_know(features):
    with pytest.raises(ConfigError, match=r"fit.models.main.penalti: .*Did you mean 'penalty'"):
        train(features, penalti=1)
