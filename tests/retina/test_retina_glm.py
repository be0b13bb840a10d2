"""GLMs with spike history: planted filters are recovered, and rates are those of responses simulated by hand."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import PoissonRegressor

from pellucid.errors import ConfigError, DataError
from pellucid.systems.retina.model import bases, glm, glm_design, glm_fit
from pellucid.systems.retina.model.settings import GLM

KERNEL = np.array([0.1, -0.3, 0.8, 0.5])
"""Of the stimulus, oldest frame first."""
PAST = np.array([-2.0, -1.0, -0.3, 0.0])
"""Of the own spikes, newest bin first."""
RATE = 100.0


def model(filter_, history, bias, *, nonlinearity="exponential", draws=50, seed=0, largest=1e3, mean=0.0):
    """GLMs with known filters."""
    cells = len(filter_)
    empty = {name: np.full(cells, np.nan) for name in ("penalty", "history_penalty", "loss", "capped")}
    return glm.CoupledGLM(
        filter=np.asarray(filter_, np.float32),
        history_filter=np.asarray(history, float),
        bias=np.asarray(bias, float),
        mean=np.full(cells, mean),
        largest=np.full(cells, largest),
        settings=GLM(nonlinearity=nonlinearity, draws=draws),
        seed=seed,
        **empty,
    )


def simulated(drive, history, rng):
    """One response, (row, neuron), bin by bin from its definition; nothing before the first row."""
    counts = np.zeros(drive.shape)
    for row in range(len(drive)):
        log_rate = drive[row].copy()
        for back in range(1, min(row, history.shape[2]) + 1):
            log_rate += history[:, :, back - 1] @ counts[row - back]
        counts[row] = rng.poisson(np.exp(log_rate))
    return counts


def responses(rng, count=10_000, history=None, gain=0.7):
    """Frames of one pixel, rows and counts of cells that KERNEL (and its mirror) and their past drive; lag 1."""
    history = PAST[None, None] if history is None else history
    frames = rng.standard_normal((count, 1, 1)).astype(np.float32)
    shown = np.lib.stride_tricks.sliding_window_view(frames[:, 0, 0], 4)[:-1]
    drive = np.stack([gain * shown @ (KERNEL if cell % 2 == 0 else KERNEL[::-1]) - 1.2 for cell in range(len(history))])
    return frames, np.arange(4, count), simulated(drive.T, history, rng).astype(np.float32)


def fitted(frames, rows, counts, share=0.85, **given):
    cut = int(share * len(rows))
    settings = {"history_ms": 40, "history_functions": 4, "stimulus_functions": 4, "draws": 20, **given}
    return glm_fit.fit(
        frames, (rows[:cut], counts[:cut]), (rows[cut:], counts[cut:]), history=4, lag=1, rate_hz=RATE, units="count",
        settings=GLM.model_validate(settings), seed=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def example():
    return responses(np.random.default_rng(0))


@pytest.mark.parametrize(("samples", "functions"), [(7, 6), (12, 10), (40, 10), (200, 12), (20, 1), (3, 2), (40, 25)])
def test_bases_are_orthonormal_and_span_the_raised_cosines(samples, functions):
    basis, cosines = bases.raised_cosines(samples, functions), bases.cosines(samples, functions)
    assert basis.shape == (functions, samples)
    np.testing.assert_allclose(basis @ basis.T, np.eye(functions), atol=1e-9)
    np.testing.assert_allclose(cosines @ basis.T @ basis, cosines, atol=1e-9)
    assert cosines.min() >= 0
    assert (np.diff(cosines.argmax(1)) >= 0).all()


def test_as_many_functions_as_samples_are_any_filter():
    basis = bases.raised_cosines(5, 9)
    np.testing.assert_allclose(basis.T @ basis, np.eye(5), atol=1e-12)


@pytest.mark.parametrize("nonlinearity", ["exponential", "softplus"])
def test_without_history_the_simulated_mean_is_the_rate(nonlinearity):
    rng = np.random.default_rng(1)
    kernels = rng.standard_normal((2, 3, 4, 5)) / 5
    frames = rng.standard_normal((60, 4, 5)).astype(np.float32)
    found = model(kernels, np.zeros((2, 2, 6)), [0.1, -0.4], nonlinearity=nonlinearity).simulate(frames)
    windows = np.lib.stride_tricks.sliding_window_view(frames, 3, axis=0)  # (row, height, width, lag)
    drive = np.einsum("thwl,nlhw->tn", windows, kernels) + np.array([0.1, -0.4])
    expected = np.exp(drive) if nonlinearity == "exponential" else np.log1p(np.exp(drive))
    np.testing.assert_allclose(found.rate, expected, rtol=1e-5)  # float32 sums
    assert (found.capped == 0).all()


def test_the_simulated_mean_is_that_of_many_responses_made_by_hand():
    rng = np.random.default_rng(2)
    history = np.array([[PAST, [0.3, 0.1, 0, 0]], [[0.0, -0.5, 0, 0], 0.5 * PAST]])
    frames = rng.standard_normal((43, 1, 1)).astype(np.float32)
    kernels = np.stack([KERNEL, 0.5 * KERNEL[::-1]])[:, :, None, None]
    cells = model(kernels, history, [-0.3, -0.8], draws=4000)
    by_hand = np.stack([simulated(cells.drive(frames), history, rng) for _ in range(600)])
    found = cells.respond(frames)
    assert found.shape == (40, 2)
    # sampling errors of 600 counts, 80 comparisons
    error = by_hand.std(0) / np.sqrt(600)
    assert (np.abs(found - by_hand.mean(0)) < 4.5 * error + 0.01).all()


def test_before_the_first_row_cells_fired_at_their_mean():
    cells = model(np.zeros((1, 2, 1, 1)), np.array([[[-1.0, -0.5]]]), [0.0], mean=0.4, draws=2)
    found = cells.respond(np.zeros(4, np.float32))
    assert found[0, 0] == pytest.approx(np.exp(-0.4 * 1.5))


def test_a_full_field_is_a_movie_that_is_uniform():
    rng = np.random.default_rng(3)
    cells = model(rng.standard_normal((2, 3, 4, 5)) / 8, np.full((2, 2, 3), -0.2), [0.0, 0.2])
    full, bars = rng.standard_normal(30).astype(np.float32), rng.standard_normal((30, 5)).astype(np.float32)
    for seen, axes in ((full, (slice(None), None, None)), (bars, (slice(None), None))):
        movie = np.ascontiguousarray(np.broadcast_to(seen[axes], (30, 4, 5)))
        np.testing.assert_allclose(cells.drive(seen), cells.drive(movie), atol=1e-5)  # float32 sums


def test_predictions_depend_on_the_seed_alone():
    frames = np.random.default_rng(4).standard_normal(100).astype(np.float32)
    one, again, other = (
        model(KERNEL[None, :, None, None], PAST[None, None], [0.0], seed=seed).respond(frames) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_planted_filters_of_stimulus_and_history_are_recovered(example):
    found = fitted(*example, history_penalties=[1e-4])
    # standard errors of 10 000 rows at .25 spikes a row are about .02, of the history about .1
    np.testing.assert_allclose(found.filter[0, :, 0, 0], 0.7 * KERNEL, atol=0.08)
    np.testing.assert_allclose(found.history_filter[0, 0], PAST, atol=0.35)


def test_coupling_is_found_in_the_right_direction():
    history = np.zeros((2, 2, 4))
    history[0, 0] = history[1, 1] = PAST
    history[1, 0] = [0.6, 0.3, 0, 0]  # the first cell excites the second
    frames, rows, counts = responses(np.random.default_rng(5), 10_000, history)
    found = fitted(frames, rows, counts, coupling=True, penalties=[1e-3], history_penalties=[1e-4])
    np.testing.assert_allclose(found.history_filter[1, 0], history[1, 0], atol=0.3)
    np.testing.assert_allclose(found.history_filter[0, 1], 0, atol=0.3)
    alone = fitted(frames, rows, counts, penalties=[1e-3], history_penalties=[1e-4])
    assert (alone.history_filter[[0, 1], [1, 0]] == 0).all()
    assert alone.parameters == 2 * (4 + 4 + 1)
    assert found.parameters == 2 * (4 + 8 + 1)


def test_weights_are_those_of_another_implementation(example):
    frames, rows, counts = example
    rows, counts = rows[:4000], counts[:4000]
    found = fitted(frames, rows, counts, share=0.75, penalties=[0.02], history_penalties=[0.02])
    own = np.arange(4, 3000)  # rows whose past of four bins is known
    shown = np.stack([frames[rows[own] - 4 + step, 0, 0] for step in range(4)], 1)
    past = np.stack([counts[own - back, 0] for back in range(1, 5)], 1)
    alpha = 0.02 * counts[own].mean()
    expected = PoissonRegressor(alpha=alpha, tol=1e-10, max_iter=1000).fit(np.hstack([shown, past]), counts[own, 0])
    # L-BFGS stops at a relative change of the loss of 1e-7
    np.testing.assert_allclose(found.filter[0, :, 0, 0], expected.coef_[:4], atol=5e-3)
    np.testing.assert_allclose(found.history_filter[0, 0], expected.coef_[4:], atol=5e-3)
    assert found.bias[0] == pytest.approx(expected.intercept_, abs=5e-3)


def test_correlated_pixels_are_no_other_problem():
    rng = np.random.default_rng(6)
    frames = np.cumsum(rng.standard_normal((4000, 2, 3)), axis=2)
    frames = (frames / frames.std()).astype(np.float32)
    counts = rng.poisson(np.exp(frames[3:-1, 1, 2] - frames[3:-1, 0, 0] - 1))[:, None].astype(np.float32)
    rows = np.arange(4, 4000)
    found = fitted(frames, rows, counts, penalties=[1e-4], history_penalties=[1.0])
    expected = np.zeros((2, 3))
    expected[1, 2], expected[0, 0] = 1, -1
    np.testing.assert_allclose(found.filter[0, 3], expected, atol=0.25)  # 4000 rows; pixels are alike to r = .9


def test_a_window_around_the_centre_holds_the_filter():
    rng = np.random.default_rng(7)
    frames = rng.standard_normal((3000, 5, 6)).astype(np.float32)
    counts = np.stack([rng.poisson(np.exp(frames[3:-1, row, 4] - 1)) for row in (0, 3)], 1).astype(np.float32)
    found = fitted(frames, np.arange(4, 3000), counts, cutout_px=1, penalties=[1e-2], history_penalties=[1.0])
    for cell, row in enumerate((0, 3)):
        inside = np.abs(found.filter[cell]).max(0) > 0
        assert inside.sum() == (6 if row == 0 else 9)
        assert np.unravel_index(np.abs(found.filter[cell]).argmax(), (4, 5, 6)) == (3, row, 4)


def test_runaway_rates_are_capped_and_said_so():
    cells = model(np.zeros((1, 2, 1, 1)), np.full((1, 1, 5), 2.0), [0.5], largest=12.0)
    found = cells.simulate(np.zeros(80, np.float32))
    assert found.rate.max() <= 12.0
    assert found.capped[0] == 1.0


def test_rows_with_an_unknown_past_are_left_out(example):
    frames, rows, counts = example
    whole = np.full((len(frames), 1), np.nan, np.float32)
    whole[rows] = counts
    whole[100, 0] = np.nan
    task = glm_design.Task(frames.reshape(-1, 1), whole, np.eye(4), np.eye(4), 1, False)
    own = np.arange(90, 120)
    seen = glm_design.design(task, own, np.array([0]), np.ones(1, bool), np.eye(1))
    assert own[seen.known[:, 0] == 0].tolist() == [100, 101, 102, 103, 104]
    first = glm_design.design(task, rows[:10], np.array([0]), np.ones(1, bool), np.eye(1))
    assert first.known[:, 0].tolist() == [0] * 4 + [1] * 6
    np.testing.assert_array_equal(seen.seen[20, :4], frames[own[20] - 4 : own[20], 0, 0])
    np.testing.assert_array_equal(seen.seen[20, 4:8], counts[own[20] - 4 - np.arange(1, 5), 0])


def test_validation_rows_decide_on_rates_simulated_by_the_model(example):
    frames, rows, counts = example
    found = fitted(frames, rows, counts, penalties=[1e-4, 10.0], history_penalties=[1e-4, 100.0])
    cut = int(0.85 * len(rows))
    rate = glm_fit.shown(found, frames, rows[cut:], 1).rate
    assert found.penalty[0] == 1e-4
    assert found.loss[0] == pytest.approx(np.mean(rate - counts[cut:] * np.log(rate)), rel=1e-6)
    worse = fitted(frames, rows, counts, penalties=[10.0], history_penalties=[1e-4])
    assert worse.loss[0] > found.loss[0] + 0.005


def test_each_stretch_of_rows_is_simulated_on_its_own():
    cells = model(KERNEL[None, :, None, None], PAST[None, None], [0.0], mean=0.5)
    frames = np.random.default_rng(8).standard_normal((300, 1, 1)).astype(np.float32)
    rows = np.concatenate([np.arange(20, 60), np.arange(200, 290)])
    found = glm_fit.shown(cells, frames, rows, 1)
    np.testing.assert_array_equal(found.rate[40:], cells.simulate(frames[200 - 4 : 290 - 1]).rate)
    assert found.rate.shape == (130, 1)


def test_models_are_restored_from_their_arrays(example, tmp_path):
    found = fitted(*example, penalties=[1e-2], history_penalties=[1e-4])
    save_file({k: np.ascontiguousarray(v) for k, v in found.weights().items()}, tmp_path / "weights.safetensors")
    again = glm.from_weights(load_file(tmp_path / "weights.safetensors"), found.settings, found.seed)
    frames = example[0][:200]
    np.testing.assert_array_equal(again.respond(frames), found.respond(frames))


def test_what_a_glm_cannot_be_fitted_to_is_refused(example, monkeypatch):
    frames, rows, counts = example
    half = len(rows) // 2
    given = {"history": 4, "lag": 1, "rate_hz": RATE, "settings": GLM(), "seed": 0}
    train, held = (rows[:half], counts[:half]), (rows[half:], counts[half:])
    with pytest.raises(DataError, match="responses in Hz"):
        glm_fit.fit(frames, train, held, units="Hz", **given)
    with pytest.raises(DataError, match=r"training rows.*whole numbers"):
        glm_fit.fit(frames, (rows[:half], counts[:half] + 0.5), held, units="count", **given)
    with pytest.raises(DataError, match=r"validation rows.*without any response"):
        glm_fit.fit(frames, train, (rows[:0], counts[:0]), units="count", **given)
    monkeypatch.setattr(glm_design, "MEMORY", 1000)
    with pytest.raises(ConfigError, match=r"glm\.cutout_px"):
        glm_fit.fit(frames, train, held, units="count", **given)
