"""Scores of models that differ in what they decode, chance by trials and by retraining, and choices per trial."""

from itertools import permutations

import di_model_data as data
import numpy as np
import pytest
from scipy import stats

from pellucid.errors import DataError
from pellucid.learning import metrics
from pellucid.systems.deepinsight.model import trials
from pellucid.systems.deepinsight.model.evaluate import evaluate
from pellucid.systems.deepinsight.model.losses import Target
from pellucid.systems.deepinsight.model.predict import Predicted
from pellucid.systems.deepinsight.model.settings import Evaluate, Output

FAST = Evaluate(shifts=40, bootstrap=100, least_shift_rows=20)
CHOICE = Target("turn", ["turn"], slice(1, 2), Output(), "choice")


def made(lengths=(300, 200), seed=0, weight=1.5):
    """Recordings r0, r1 ... with a (2 outputs) carried by power and b (1 output); two folds, halves of each."""
    generator = np.random.default_rng(seed)
    trees = {}
    for number, rows in enumerate(lengths):
        a, b = data.slow(generator, rows, 2, 20), data.slow(generator, rows, 1, 20)
        power = generator.standard_normal((rows, 2, 3))
        power[:, 0, :2] += weight * a
        power[:, 1, 2] += weight * b[:, 0]
        trees[f"r{number}"] = data.recording({"a": ("value", a), "b": ("value", b)}, power)
    halves = [{f"r{n}": [(0, rows // 2)] for n, rows in enumerate(lengths)}]
    halves.append({f"r{n}": [(rows // 2, rows)] for n, rows in enumerate(lengths)})
    held = [{name: [(b - 30, b)] for name, ((_, b),) in half.items()} for half in halves]
    cut = [{name: [(a, b - 30)] for name, ((a, b),) in half.items()} for half in halves]
    return data.features(trees, [(cut[1 - fold], held[1 - fold], halves[fold]) for fold in (0, 1)])


def fitted(found, folder, models, seeds=(0,)):
    settings = {"kind": "ridge", "window_rows": 1}
    return [
        data.fit(found, folder, name, fold, seed, **{**settings, **model})
        for name, model in models.items()
        for fold in (0, 1)
        for seed in seeds
    ]


def predicted(behaviour, prediction, numbers, recording="r"):
    return Predicted(recording, np.arange(len(behaviour)), behaviour, prediction, np.asarray(numbers))


def score(metric, true, guess):
    """The metrics by their definitions."""
    error = np.abs(true - guess)
    return {
        "pearson": stats.pearsonr(true, guess).statistic,
        "spearman": stats.spearmanr(true, guess).statistic,
        "R2": 1 - (error**2).sum() / ((true - true.mean()) ** 2).sum(),
        "median error": np.median(error),
        "mean error": error.mean(),
    }[metric]


def test_every_row_of_the_table_follows_from_the_predictions(tmp_path):
    """Two recordings of unequal length, two seeds, a model of one target: recomputed from predictions.zarr alone."""
    found = made()
    models = {"main": {}, "only": {"decode": ["b"]}, "averaged": {"average_rows": 3}}
    table, tree = evaluate(found, fitted(found, tmp_path, models, seeds=(0, 5)), FAST, {})
    labels = list(tree["r0"]["output"].values)
    assert labels == ["a_0", "a_1", "b_0"]
    assert list(tree["r1"]["seed"].values) == [0, 5]
    assert table["history_rows"] == 3
    assert table["test_rows"] == {0: 148 + 98, 1: 148 + 98}
    seen = set()
    for row in table["table"]:
        if row["output"] not in labels:
            continue
        values = [[], []]
        for name, (start, stop) in ((n, r[0]) for n, r in found.folds[row["fold"]].test.items()):
            one = tree[name]["prediction"].sel(model=row["model"], fold=row["fold"], seed=row["seed"]).values
            column = one[start:stop, labels.index(row["output"])]
            true = found.group(name)["behaviour"].values[start:stop, labels.index(row["output"])]
            values[0].append(true[np.isfinite(column)])
            values[1].append(column[np.isfinite(column)])
        true, guess = (np.concatenate(v).astype(float) for v in values)
        assert len(true) == 148 + 98
        assert row["value"] == pytest.approx(score(row["metric"], true, guess), abs=1e-4)  # float32 predictions
        seen.add((row["model"], row["output"], row["metric"]))
    assert len(seen) == (3 + 1 + 3) * 5


def test_targets_a_model_does_not_decode_are_missing(tmp_path):
    found = made()
    metrics_, tree = evaluate(found, fitted(found, tmp_path, {"main": {}, "only": {"decode": ["b"]}}), FAST, {})
    values = tree["r1"]["prediction"]
    assert np.isnan(values.sel(model="only", output=["a_0", "a_1"])).all()
    known = np.isfinite(values.sel(output="b_0"))
    assert (known.sel(model="only") == known.sel(model="main")).all()
    assert known.sum() > 0
    assert {row["output"] for row in metrics_["table"] if row["model"] == "only"} == {"b_0"}
    assert "retrained" not in metrics_


def test_r2_neither_rescales_nor_ends_at_zero():
    """A prediction twice too large correlates perfectly; its R2 is 0 about a mean of 0, and lower with an offset."""
    true = np.array([[-1.0], [0.0], [1.0]])
    assert metrics.pearson(true, 2 * true) == pytest.approx([1])
    assert metrics.explained(true, 2 * true) == pytest.approx([0])
    assert metrics.explained(true, true + 2) == pytest.approx([-5])


def test_trial_error_by_hand():
    """Signs of trial means: 2 right, 1 wrong (its rows disagree), rows outside trials do not count."""
    turn = np.array([1, 1, 1, -1, -1, -1, -1, 1, 1.0])
    guess = np.array([2, -0.5, 0.1, -1, -1, 9, -9, 0, 9.0])
    numbers = [0, 0, 0, 1, 1, 1, 4, -1, -1]
    found = [predicted(np.stack([0 * turn, turn], 1), np.stack([0 * turn, guess], 1), numbers)]
    row = trials.rows_of({"model": "m"}, found, CHOICE)
    assert row == [
        {"model": "m", "output": "turn", "metric": "trial error", "value": pytest.approx(1 / 3), "units": "1"}
    ]


def test_trials_of_two_recordings_and_two_stretches_are_told_apart():
    one = np.zeros((4, 1))
    found = [
        predicted(one, one, [3, 3, 4, 4], "q"),
        predicted(one, one, [4, 4, 5, 5], "q"),
        predicted(one, one, [3] * 4),
    ]
    assert [(name, rows.tolist()) for name, rows in trials.members(found)] == [
        ("q", [0, 1]),
        ("q", [2, 3, 4, 5]),
        ("q", [6, 7]),
        ("r", [8, 9, 10, 11]),
    ]
    with pytest.raises(DataError, match=r"preprocess\.trials"):
        trials.members([Predicted("r", np.arange(4), one, one)])


def test_exchanges_are_the_permutations_of_trials_of_equal_length():
    """Three trials of 2 rows, one of 3 that stays: every draw is one of 3! orders, and all of them occur."""
    behaviour = np.arange(9.0)[:, None]
    numbers = [7, 7, 2, 2, 2, 5, 5, 1, 1]
    found = [predicted(behaviour, 10 * behaviour, numbers)]
    draws = trials.exchanges(found, lambda b, p: np.r_[b[:, 0], p[:, 0]], count=200, generator=np.random.default_rng(0))
    pairs = [(0, 1), (5, 6), (7, 8)]
    expected = {tuple(sum((order[0], (2, 3, 4), order[1], order[2]), ())) for order in permutations(pairs)}
    assert {tuple(draw[:9].astype(int)) for draw in draws} == expected
    assert (draws[:, 9:] == 10 * behaviour[:, 0]).all()
    with pytest.raises(DataError, match="equal length"):
        trials.exchanges(
            [predicted(behaviour, behaviour, [0] * 4 + [1] * 5)],
            metrics.pearson,
            count=9,
            generator=np.random.default_rng(0),
        )


def test_trials_are_exchanged_within_their_recording():
    found = [predicted(np.full((4, 1), n), np.zeros((4, 1)), [0, 0, 1, 1], f"r{n}") for n in (1.0, 2.0)]
    draws = trials.exchanges(found, lambda b, p: b[:, 0], count=30, generator=np.random.default_rng(0))
    assert (draws == [1, 1, 1, 1, 2, 2, 2, 2]).all()


def swinging(seed=0, trials_=24, rows=20, tells=True):
    """A behaviour that the time in a trial tells, a choice that power tells (or not), and a clock in power."""
    generator = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(trials_), rows)
    both = np.resize([-1.0, 1.0], trials_ // 2)  # as many of either choice in both folds
    turn = np.repeat(np.concatenate([generator.permutation(both) for _ in range(2)]), rows)
    clock = np.tile(np.sin(np.linspace(0, 3, rows)), trials_)
    swing = clock + 0.05 * generator.standard_normal(len(clock))
    power = generator.standard_normal((len(turn), 1, 3))
    power[:, 0, 0] = clock + 0.1 * power[:, 0, 0]
    power[:, 0, 1] += turn if tells else 0
    targets = {"swing": ("value", swing[:, None]), "turn": ("choice", turn[:, None])}
    half = len(turn) // 2
    first, second = {"r": [(0, half)]}, {"r": [(half, 2 * half)]}
    held = [{"r": [(half - 80, half)]}, {"r": [(2 * half - 80, 2 * half)]}]
    folds = [(second, held[1], first), (first, held[0], second)]
    return data.features({"r": data.recording(targets, power, trials=numbers)}, folds)


def test_exchanging_trials_keeps_what_time_in_a_trial_tells(tmp_path):
    """A decoder of nothing but the time in the trial: far above most circular shifts, and not above trials."""
    found = swinging()
    fits = fitted(found, tmp_path, {"main": {"decode": ["swing"]}})
    rows = {
        kind: evaluate(found, fits, FAST.model_copy(update={"chance": kind}), {})[0]["headline"][0]
        for kind in ("shifts", "trials")
    }
    assert rows["shifts"]["value"] == rows["trials"]["value"] > 0.9
    assert rows["shifts"]["chance"] < 0.5
    assert rows["trials"]["chance_low"] > 0.8


@pytest.mark.parametrize("tells", [True, False])
def test_choices_are_scored_per_trial(tells, tmp_path):
    found = swinging(tells=tells)
    settings = FAST.model_copy(update={"chance": "trials"})
    found_metrics, _ = evaluate(found, fitted(found, tmp_path, {"main": {}}), settings, {})
    (row,) = [row for row in found_metrics["headline"] if row["name"] == "turn: trial error"]
    assert not [row for row in found_metrics["headline"] if row["name"].startswith("turn_0")]
    assert row["low"] <= row["value"] <= row["high"]
    assert row["chance"] == pytest.approx(0.5, abs=0.1)
    assert (row["value"] == 0) == tells
    assert (row["note"] == "outside chance") == tells
    each = [row["value"] for row in found_metrics["table"] if row["metric"] == "trial error"]
    assert row["value"] == pytest.approx(np.mean(each))  # both folds have twelve trials


def test_retrained_models_are_held_against_the_shifts_of_their_copy(tmp_path):
    found = made(lengths=(400, 300))
    models = {"main": {}, "early": {"shift_s": 4.0}, "late": {"shift_s": -6.0}, "other": {"decode": ["b"]}}
    result, tree = evaluate(found, fitted(found, tmp_path, models, seeds=(0, 1)), FAST, {})
    assert list(tree["r0"]["model"].values) == list(models)
    assert {row["model"] for row in result["table"]} == set(models)
    own = {row["name"]: row for row in result["headline"] if row["model"] == "main"}
    assert [row["name"] for row in result["headline"] if "retraining" in row["name"]] == ["chance by retraining"]
    assert {row["model"] for row in result["headline"]} == {"main", "other"}
    assert [(row["model"], row["of"]) for row in result["retrained"]] == [("early", "main")] * 4 + [
        ("late", "main")
    ] * 4
    for row in result["retrained"]:
        band = own[row["name"]]
        assert (row["chance_low"], row["chance_high"]) == (band["chance_low"], band["chance_high"])
        assert row["inside"] == (row["chance_low"] <= row["value"] <= row["chance_high"])
        assert row["low"] <= row["high"]
    pooled = own["chance by retraining"]
    singles = [row["value"] for row in result["retrained"] if row["name"].startswith("Pearson")]
    assert pooled["value"] == pytest.approx(np.mean(singles))  # all fits have as many test rows
    assert own[next(iter(own))]["value"] > 0.6 > 3 * abs(pooled["value"])


def test_a_retrained_model_without_its_copy_is_refused(tmp_path):
    found = made()
    models = {"main": {"window_rows": 16}, "shifted": {"shift_s": 4.0}}
    with pytest.raises(DataError, match="shift_s"):
        evaluate(found, fitted(found, tmp_path, models), FAST, {})


def test_angles_of_a_subset_keep_their_error(tmp_path):
    """An angle that is the last of three targets: its error is circular and its columns are its own."""
    generator = np.random.default_rng(3)
    angle = np.angle(np.exp(1j * np.cumsum(generator.normal(0, 0.2, 200))))[:, None]
    targets = {"x": ("value", data.slow(generator, 200, 2)), "h": ("angle", angle)}
    folds = [({"r": [(0, 100)]}, {"r": [(100, 120)]}, {"r": [(120, 200)]})]
    power = generator.standard_normal((200, 1, 2))
    found = data.features({"r": data.recording(targets, power)}, folds)
    fit = data.fit(found, tmp_path, kind="ridge", window_rows=1, decode=["h"], outputs={"h": {"loss": "cyclic"}})
    result, tree = evaluate(found, [fit], FAST, {})
    guess = tree["r"]["prediction"].values[0, 0, 0, 120:, 2]
    error = np.abs(np.angle(np.exp(1j * (guess - angle[120:, 0]))))
    (row,) = [row for row in result["headline"] if row["name"] == "h: median error"]
    assert row["unit"] == "rad"
    assert row["value"] == pytest.approx(np.median(error), abs=1e-5)


@pytest.mark.slow
def test_chance_by_retraining_agrees_with_circular_shifts(two_band, tmp_path):
    """S1 and eight shifts, ridge on single rows: every retrained interval meets the band; the decoder's is far off."""
    models = {"main": None, **{f"by_{s}": s for s in (30, 60, 90, 120, 180, 210, 240, 270)}}
    fits = [
        data.fit(two_band.features, tmp_path, name, fold, kind="ridge", window_rows=1, shift_s=shift)
        for name, shift in models.items()
        for fold in (0, 1)
    ]
    result, _ = evaluate(two_band.features, fits, Evaluate(shifts=200, bootstrap=100, least_shift_rows=200), {})
    rows = [row for row in result["retrained"] if row["name"].startswith("Pearson")]
    assert len(rows) == 8
    assert all(row["low"] <= row["chance_high"] and row["high"] >= row["chance_low"] for row in rows)
    assert result["headline"][0]["low"] > max(row["high"] for row in rows)
