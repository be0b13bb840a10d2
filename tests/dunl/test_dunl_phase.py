"""Locking to a phase: phases of bins, circular sums and chance against loops, planted locking, null data, figure."""

import csv
import json
from itertools import pairwise
from types import SimpleNamespace

import dunl_data
import numpy as np
import pytest
import xarray as xr
from made_results import Made
from scipy import special, stats

from pellucid import schema, store
from pellucid.artifacts import Features, Fold
from pellucid.errors import DataError, MissingError
from pellucid.preprocess.behaviour import wrap
from pellucid.systems.dunl.attribute import locking, phase, tracks
from pellucid.systems.dunl.attribute.attribute import attribute
from pellucid.systems.dunl.attribute.settings import Settings
from pellucid.systems.dunl.features import phase as bins_phase
from pellucid.systems.dunl.features.extract import extract
from pellucid.systems.dunl.features.settings import Settings as FeatureSettings
from pellucid.systems.dunl.figures import phase as figure
from pellucid.systems.dunl.figures.draw import figures
from pellucid.systems.dunl.figures.settings import Settings as FigureSettings
from pellucid.systems.dunl.model.slots import Slots
from pellucid.systems.dunl.model.traces import ABSENT, coarse, join

EXACT = 1e-9  # float64, sums over all shifts by FFT
ROOT = dict.fromkeys(schema.RECORDING_ATTRIBUTES, "")
S, ONE = {"units": "s"}, {"units": "1"}


def apart(one, other):
    """The largest circular distance of two arrays of phases, rad."""
    return np.abs(wrap(np.asarray(one, float) - np.asarray(other, float))).max()


# ---- phases of bins


@pytest.mark.parametrize("hertz", [8.3, -8.3])
def test_interpolation_follows_a_turning_phase_across_the_wrap(hertz):
    times = 0.4 + np.arange(500) / 120

    def turning(at):
        return wrap(1.3 + 2 * np.pi * hertz * at)

    at = np.random.default_rng(0).uniform(times[0], times[-1], (7, 41))
    assert (np.abs(np.diff(turning(times))) > np.pi).any()
    for sampled in (turning(times), np.unwrap(turning(times))):
        found = bins_phase.between(times, sampled, at)
        assert apart(found, turning(at)) < EXACT
        assert ((found > -np.pi) & (found <= np.pi)).all()


def test_the_shorter_arc_leads_through_pi():
    found = bins_phase.between(np.array([0.0, 1.0]), np.deg2rad([170.0, -150.0]), np.array([0.25, 0.5, 1.0]))
    assert np.rad2deg(found) == pytest.approx([180, -170, -150])


def test_where_behaviour_is_not_tracked_there_is_no_phase():
    times = np.array([0, 1, 2, 3, 4, 7, 8, 9.0])  # none between 4 and 7
    turned = 0.1 * times
    turned[2] = np.nan
    at = np.array([-0.5, 0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 3.5, 4.0, 5.5, 7.0, 9.0, 9.1])
    expected = [np.nan, 0, 0.05, 0.1, np.nan, np.nan, 0.3, 0.35, 0.4, np.nan, 0.7, 0.9, np.nan]
    assert bins_phase.between(times, turned, at) == pytest.approx(expected, nan_ok=True)
    assert np.isnan(bins_phase.between(times[:1], turned[:1], at)).all()


def whisking_recording(units="degree", seconds=6.0, rate=200.0):
    """Spikes on a continuous clock; whisking at 7 Hz from 1.0 to 4.5 s, tracked from 0.25 s on in degrees."""
    times = 0.25 + np.arange(int(rate * (seconds - 0.25))) / rate
    degrees = np.rad2deg(wrap(2 * np.pi * 7 * times))
    tree = {
        "/": xr.Dataset(attrs=ROOT),
        "/spikes": xr.Dataset({"time": ("spike", np.arange(0.013, seconds, 0.031), S)}),
        "/behaviour": xr.Dataset(
            {
                "phase": ("time", degrees, {"units": units}),
                "whisking": ("time", (times >= 1.0) & (times < 4.5)),
                "lost": ("time", degrees * np.nan, ONE),
            },
            attrs={"rate_hz": rate, "start_s": 0.25},
        ),
    }
    return xr.DataTree.from_dict(tree)


CONTINUOUS = {
    **{"source": "/spikes/time", "bin_ms": 5, "split": {"folds": 2}},
    "trials": {"every_s": 1.5, "observed_s": [0, 6]},
    "inside": {"source": "/behaviour/whisking", "threshold": 0.5},
    "phase": {"source": "/behaviour/phase", "period": 360},
}


def extracted(tree, settings, folder):
    """The features of a recording, read back."""
    extract(tree, FeatureSettings.model_validate(settings), folder / "r.zarr")
    return store.open_store(folder / "r.zarr")["features"].dataset


def test_bins_inside_have_the_phase_of_their_centre(tmp_path):
    group = extracted(whisking_recording(), CONTINUOUS, tmp_path)
    found = group["phase"]
    centre = group["zero_s"].values[:, None] + group["time"].values + 0.0025
    inside = np.isfinite(group["signal"].values[..., 0])
    assert (found.dims, found.dtype, found.attrs["units"]) == (("trial", "time"), np.float32, "rad")
    assert inside.tolist() == ((centre > 1.0) & (centre < 4.5)).tolist()
    assert (np.isfinite(found.values) == inside).all()
    # float32, and a sampled whole bin off by rounding of clocks
    assert apart(found.values[inside], 2 * np.pi * 7 * centre[inside]) < 1e-4
    without = extracted(whisking_recording(), CONTINUOUS | {"phase": None}, tmp_path)
    assert "phase" not in without
    assert without.equals(group.drop_vars("phase"))


def test_trials_cut_already_have_their_own_phases(tmp_path):
    generator = np.random.default_rng(1)
    start = generator.uniform(-np.pi, np.pi, 9)
    time = -0.2 + np.arange(600) / 1000
    turning = start[:, None] + 2 * np.pi * 6 * time
    turning[3, 100:150] = np.nan
    trials = {
        "raster": (("trial", "time", "neuron"), generator.integers(0, 2, (9, 600, 2)).astype("u1"), ONE),
        "phase": (("trial", "time"), wrap(turning), {"units": "rad"}),
        "kept": ("trial", np.arange(9) % 2, ONE),
    }
    group = xr.Dataset(trials, attrs={"rate_hz": 1000.0, "start_s": -0.2})
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=ROOT), "/trials": group})
    settings = {
        **{"bin_ms": 10, "trials": {"window_s": [-0.1, 0.3]}, "phase": {"source": "/trials/phase"}},
        **{"keep": {"source": "/trials/kept", "equals": [1]}, "split": {"folds": 2}},
    }
    found = extracted(tree, settings, tmp_path)
    rows, centre = [1, 3, 5, 7], -0.1 + 0.01 * np.arange(40) + 0.005
    expected = start[rows, None] + 2 * np.pi * 6 * centre
    # from -0.1 to -0.05 s the second of them is not tracked; the first bin after it has its centre inside again
    assert np.argwhere(np.isnan(found["phase"].values)).tolist() == [[1, bin_] for bin_ in range(5)]
    known = np.isfinite(found["phase"].values)
    assert apart(found["phase"].values[known], expected[known]) < 1e-5  # float32


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"source": "/behaviour/phase"}, DataError, "period in the unit of the variable, found 6.28319 for degree"),
        ({"source": "/behaviour/phas"}, MissingError, "one of .*/behaviour/phase"),
        ({"source": "/spikes/time"}, DataError, r"phase, /spikes/time: expected axes \(time\)"),
        ({"source": "/behaviour/lost"}, DataError, "a phase in some bin of some trial, found none in 4 trials"),
    ],
)
def test_phases_that_cannot_be_used_are_refused(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        extracted(whisking_recording(), CONTINUOUS | {"phase": change}, tmp_path)
    assert not list(tmp_path.iterdir())


# ---- circular sums


def test_sums_equal_loops():
    generator = np.random.default_rng(2)
    angle = generator.uniform(-np.pi, np.pi, 97)
    weights = generator.normal(size=(3, 97))
    trial = np.sort(generator.integers(0, 6, 97)) * 5
    table = phase.table(angle, 7)
    edges = np.linspace(-np.pi, np.pi, 8)
    for shift, found in zip([0, 1, 60, 96], phase.shifted(weights, table, np.array([0, 1, 60, 96]))):
        moved = np.array([angle[(t + shift) % 97] for t in range(97)])
        for column, own in zip(found, weights):
            expected = [own[(moved >= low) & (moved < high)].sum() for low, high in pairwise(edges)]
            assert column == pytest.approx([*expected, (own * np.cos(moved)).sum(), (own * np.sin(moved)).sum()])
    parts = phase.by_trial(weights, table, trial)
    for part, number in zip(parts, np.unique(trial)):
        assert part == pytest.approx(weights[:, trial == number] @ table[trial == number])
    assert parts.sum(0) == pytest.approx(weights @ table)


def test_every_phase_has_one_bin():
    ends = np.array([-np.pi, np.pi, np.float32(np.pi), np.float32(-np.pi), 0, 2 * np.pi, -5 * np.pi])
    found = phase.table(ends, 6)[:, :-2]
    assert (found.sum(1) == 1).all()
    assert set(found.argmax(1)[:4]) | {found.argmax(1)[6]} <= {0, 5}  # both sides of the same phase
    assert found.argmax(1)[4] == found.argmax(1)[5] == 3
    inner = phase.centres(6)
    assert phase.table(inner, 6)[:, :-2].argmax(1).tolist() == list(range(6))


@pytest.mark.parametrize("bins", [4, 13])
def test_binned_tuning_gives_the_exact_resultant(bins):
    """Bin means of 1 + a cos(phase - mu) have the resultant a / 2 at mu, whatever the number of bins."""
    half = np.pi / bins
    mean = 1 + 0.8 * np.cos(phase.centres(bins) - 2.5) * np.sin(half) / half
    found = phase.corrected(mean)
    assert np.abs(found) == pytest.approx(0.4, abs=EXACT)
    assert apart(np.angle(found), 2.5) < EXACT
    assert np.isnan(phase.corrected(np.where(np.arange(bins) == 1, np.nan, mean)))


def test_turning_all_phases_turns_the_preferred_phase_alone():
    generator = np.random.default_rng(3)
    angle, weight = generator.vonmises(1, 2, 300), generator.gamma(2, 1, (1, 300))
    one, turned = (phase.resultant(weight @ phase.table(wrap(angle + by), 8))[0] for by in (0, 2.7))
    assert np.abs(turned) == pytest.approx(np.abs(one), abs=EXACT)
    assert apart(np.angle(turned), np.angle(one) + 2.7) < EXACT


def test_wide_bins_have_the_phase_of_their_centre():
    turning = wrap(np.array([[0.5], [2.0]]) + 0.3 * np.arange(11))
    turning[1, 4] = np.nan
    found = tracks.binned(turning, 3, 5)
    expected = np.array([[0.5], [2.0]]) + 0.3 * (1 + 3 * np.arange(3))
    assert apart(found[0, :3], expected[0]) < EXACT
    assert apart(found[1, [0, 2]], expected[1, [0, 2]]) < EXACT
    assert np.isnan(found).tolist() == [[False] * 3 + [True] * 2, [False, True, False, True, True]]


# ---- chance


def wandering(generator, count, hertz, bin_s=0.01, wander=0.12):
    """A phase that turns at about so many Hz and forgets itself within some cycles, (time,)."""
    return wrap(np.cumsum(2 * np.pi * hertz * bin_s + wander * generator.normal(size=count)))


def against_shifts(generator, angle, events):
    """R of some events under a phase, with chance from shifts."""
    table = phase.table(angle, 12)
    drawn = generator.integers(0, len(angle), 99)
    null = phase.resultant(phase.shifted(events[None], table, drawn))
    return phase.locking(phase.resultant(events[None] @ table), null, null[:0])


def test_chance_is_calibrated_for_rhythms_that_have_nothing_to_do_with_each_other():
    """Events of a rhythm of their own, as slow to forget as the phase: p must be uniform; Rayleigh's test is not."""
    generator = np.random.default_rng(4)
    sets, p, rayleigh = 300, [], []
    for _ in range(sets):
        angle, own = (wandering(generator, 1200, hertz) for hertz in (7.0, 7.4))
        events = (generator.random(1200) < 0.1 * (1 + np.cos(own))).astype(float)
        found = against_shifts(generator, angle, events)
        p.append(found.p[0])
        rayleigh.append(np.exp(-events.sum() * found.length[0] ** 2))
    # 3 binomial s.d. of 300 sets around 5 % and 50 %; the ends of the recording add little
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / sets)
    assert abs(np.mean(np.array(p) <= 0.5) - 0.5) <= 3 * np.sqrt(0.25 / sets)
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert np.mean(np.array(rayleigh) <= 0.05) > 0.12


def test_chance_includes_the_data_and_grows_with_uneven_phases():
    generator = np.random.default_rng(5)
    angle = wandering(generator, 3000, 6.0)
    uneven = wrap(angle + 0.8 * np.sin(angle))
    events = (generator.random(3000) < 0.1).astype(float)
    even_, uneven_ = (against_shifts(generator, one, events) for one in (angle, uneven))
    assert uneven_.chance[0] > even_.chance[0] + 0.2  # plain R of unlocked events: 0.37 of the phase itself
    assert uneven_.p[0] > 0.05
    locked = against_shifts(generator, angle, (np.abs(wrap(angle - 1)) < 0.3).astype(float))
    assert locked.p[0] == 1 / 100


def test_columns_without_events_are_undefined():
    nothing = against_shifts(np.random.default_rng(6), wandering(np.random.default_rng(6), 200, 6.0), np.zeros(200))
    assert np.isnan([nothing.length[0], nothing.preferred[0], nothing.p[0], nothing.chance[0], nothing.low[0]]).all()


def test_intervals_over_trials_cover_the_resultant_of_the_population():
    generator = np.random.default_rng(7)
    kappa, sets = 0.5, 200
    true, inside = special.i1(kappa) / special.i0(kappa), []
    for _ in range(sets):
        angle = generator.vonmises(-2, kappa, 300)
        sums = phase.by_trial(np.ones((1, 300)), phase.table(angle, 8), np.repeat(np.arange(60), 5))
        times = generator.multinomial(60, np.full(60, 1 / 60), 200)
        found = phase.locking(
            phase.resultant(sums.sum(0)),
            np.full((1, 1), np.nan + 0j),
            phase.resultant(np.tensordot(times, sums, 1)),
        )
        inside.append(found.low[0] <= true <= found.high[0])
    assert 0.89 <= np.mean(inside) <= 0.99  # 95 % +- 3 binomial s.d. of 200 sets, and 1.5 % for the percentile method


# ---- the group of the store


def decomposed(signals, angles, events, *, kernels=("a", "b"), factor=1, counts=True, lags=3):
    """Features and the parts of two folds, as attribution sees them.

    signals  recording -> (trial, time, neuron), NaN where missing; angles recording -> (trial, time), or None
    events   recording -> (event, 5): trial, neuron, kernel, bin (after coarsening), code
    """
    stores, rows = {}, {}
    for name, signal in signals.items():
        trials = len(signal)
        onset = np.full((trials, 1), ABSENT)
        group = dunl_data.features_of(signal, onset, onset, (), bin_s=0.01, counts=counts).group("r")
        if angles[name] is not None:
            group = group.assign(phase=(("trial", "time"), angles[name].astype("f4"), {"units": "rad"}))
        stores[name] = xr.DataTree.from_dict({"/features": group})
        rows[name] = [(0, trials // 2), (trials // 2, trials)]
    folds = [Fold({}, {}, {name: [halves[fold]] for name, halves in rows.items()}) for fold in range(2)]
    features = Features(stores, folds, {})
    parts = []
    for fold in folds:
        chosen = {name: np.arange(*fold.test[name][0]) for name in signals}
        traces = coarse(join(features, chosen), factor)
        kernel, position, codes = (np.full((len(traces), 40), fill) for fill in (ABSENT, 0, 0.0))
        starts = np.cumsum([0, *(signal.shape[2] for signal in signals.values())])
        trace_of = {key: i for i, key in enumerate(zip(traces.recording, traces.row, traces.neuron))}
        for index, name in enumerate(signals):
            for row, neuron, which, at, code in events[name]:
                trace = trace_of.get((index, row, starts[index] + neuron))
                if trace is not None:
                    slot = int((kernel[trace] != ABSENT).sum())
                    kernel[trace, slot], position[trace, slot], codes[trace, slot] = which, at, code
        found = SimpleNamespace(slots=Slots(kernel, position), codes=codes)
        settings = SimpleNamespace(kernels=dict.fromkeys(kernels), coarsen=factor)
        shapes = np.eye(len(kernels), lags)[None]
        parts.append(SimpleNamespace(traces=traces, found=found, settings=settings, kernels=shapes))
    return features, parts


def drawn(generator, neurons, trials, bins=60, hertz=7.0, missing=0.1):
    """Signal with gaps, phases with gaps, and events of two kernels anywhere."""
    signal = generator.poisson(0.3, (trials, bins, neurons)).astype(float)
    signal[generator.random(signal.shape) < missing / 10] = np.nan
    signal[generator.random((trials, bins)) < missing] = np.nan
    angle = np.stack([wandering(generator, bins, hertz) for _ in range(trials)])
    angle[generator.random(angle.shape) < missing] = np.nan
    taken = generator.permutation(trials * neurons * 2 * 8)[: 6 * trials * neurons]
    places = np.array(np.unravel_index(taken, (trials, neurons, 2, 8)))
    places[3] = 3 * places[3] + generator.integers(0, 3, len(taken))
    return signal, angle, [(*place, code) for place, code in zip(places.T.tolist(), generator.gamma(2, 1, len(taken)))]


def looped(signals, angles, events, factor, shifts):
    """The bins of each recording one by one: list of (phase, trial, neuron -> signal or None), and its events."""
    every = []
    for name, signal in signals.items():
        bins, place, listed = [], {}, []
        for row in range(len(signal)):
            for bin_ in range(signal.shape[1] // factor):
                part = slice(bin_ * factor, (bin_ + 1) * factor)
                own = signal[row, part].sum(0)  # NaN where one is missing
                angle = np.angle(np.exp(1j * angles[name][row, part].astype("f4").astype(float)).sum())
                if np.isfinite(angle) and np.isfinite(own).any():
                    place[row, bin_] = len(bins)
                    bins.append((angle, row, own))
        outside = 0
        for row, neuron, kernel, at, code in events[name]:
            here = place.get((row, at))
            if here is None or np.isnan(bins[here][2][neuron]):
                outside += 1
            else:
                listed.append((here, neuron, kernel, code))
        every.append((bins, listed, outside, shifts(len(every), len(bins))))
    return every


def test_the_group_equals_a_loop_over_bins_and_events():
    generator = np.random.default_rng(8)
    made = {"x": drawn(generator, 3, 8), "y": drawn(generator, 2, 6, hertz=5.0)}
    signals, angles, events = ({name: one[i] for name, one in made.items()} for i in range(3))
    settings = Settings(permutations=100, bootstrap=100, phase_bins=6, seed=3)
    features, parts = decomposed(signals, angles, events, factor=2)
    group = locking.groups(features, parts, settings)["/phase"]
    every = looped(signals, angles, events, 2, lambda i, n: np.random.default_rng([3, i]).integers(0, n, 100))
    edges = np.linspace(-np.pi, np.pi, 7)

    def tuned(shift):
        count, size, seen, raw = np.zeros((2, 6)), np.zeros((2, 6)), np.zeros(6), np.zeros(6)
        plain = np.zeros(2, complex)
        for bins, listed, _, shifts in every:
            moved = [bins[(t + (0 if shift is None else shifts[shift])) % len(bins)][0] for t in range(len(bins))]
            which = [np.searchsorted(edges, angle, side="right") - 1 for angle in moved]
            for bin_, (_, _, own) in zip(which, bins):
                seen[bin_] += np.isfinite(own).sum()
                raw[bin_] += np.nansum(own)
            for here, _, kernel, code in listed:
                count[kernel, which[here]] += 1
                size[kernel, which[here]] += code
                plain[kernel] += np.exp(1j * moved[here])
        with np.errstate(invalid="ignore"):  # shifts without an event at some phase
            mean = size / count
        return count / (seen * 0.02), mean, raw / (seen * 0.02), plain / count.sum(1), seen

    rate, code, raw, plain, seen = tuned(None)
    half = np.pi / 6
    per_time = (rate * np.exp(1j * phase.centres(6))).sum(1) / rate.sum(1) * half / np.sin(half)
    null = [tuned(shift) for shift in range(100)]
    assert group["events_outside"].values.sum() == sum(one[2] for one in every) > 0
    assert group["events"].values.sum() == sum(len(one[1]) for one in every)
    assert group["occupancy"].values == pytest.approx(seen * 0.02)
    for name, index, value in (("rate", 0, rate), ("code", 1, code), ("raw_rate", 2, raw)):
        assert group[name].values == pytest.approx(value)
        band = np.nanquantile([one[index] for one in null], [0.025, 0.975], axis=0)
        assert group[f"{name}_chance_low"].values == pytest.approx(band[0])
        assert group[f"{name}_chance_high"].values == pytest.approx(band[1])
    for prefix, vector in (("", per_time), ("plain_", plain)):
        assert group[f"{prefix}resultant"].values == pytest.approx(np.abs(vector))
        assert apart(group[f"{prefix}preferred"].values, np.angle(vector)) < EXACT
    luck = np.abs([one[3] for one in null])
    assert group["plain_chance_high"].values == pytest.approx(np.quantile(luck, 0.95, axis=0))
    assert group["plain_p"].values == pytest.approx((1 + (luck >= np.abs(plain) - EXACT).sum(0)) / 101)
    assert group["neuron"].values.tolist() == ["x/0", "x/1", "x/2", "y/0", "y/1"]


def whisking_trials(generator, depth, neurons=2, trials=40, bins=200, kappa=1.5):
    """Trials of 10 ms with events of a first kernel locked to 2 rad and of a second one anywhere, and spikes at 1 rad.

    depth  how uneven phases are: they turn slowly around 0
    """
    angle = np.stack([wandering(generator, bins, 7.0, wander=0.3) for _ in range(trials)])
    angle = wrap(angle + depth * np.sin(angle))
    signal = generator.poisson(0.2 * np.exp(np.cos(angle - 1))[..., None] * np.ones(neurons)).astype(float)
    rate = 0.03 * np.exp(kappa * np.cos(angle - 2)) / special.i0(kappa)
    events = []
    for kernel, chance in enumerate((rate, np.full(angle.shape, 0.03))):
        where = np.argwhere(generator.random((*angle.shape, neurons)) < chance[..., None])
        events += [(row, neuron, kernel, at, 1.0 + kernel) for row, at, neuron in where.tolist()]
    crowded = {}
    for event in events:
        crowded.setdefault(event[:2], []).append(event)
    return signal, angle, [event for own in crowded.values() for event in own[:40]]


@pytest.mark.parametrize("depth", [0.0, -0.7])
def test_planted_locking_is_recovered_and_unlocked_events_are_not(depth, tmp_path):
    generator = np.random.default_rng(9)
    signal, angle, events = whisking_trials(generator, depth)
    features, parts = decomposed({"x": signal}, {"x": angle}, {"x": events}, kernels=("locked", "free"))
    found = locking.groups(features, parts, Settings(permutations=200, bootstrap=200))
    store.write(tmp_path / "a.zarr", xr.DataTree.from_dict(found))
    group = store.open_store(tmp_path / "a.zarr")["phase"].to_dataset()
    true = special.i1(1.5) / special.i0(1.5)
    # the s.d. of R and of a preferred phase from some 400 events is about 0.04 and 0.08 rad
    assert group["resultant"].values[0] == pytest.approx(true, abs=0.12)
    assert group["low"].values[0] <= true <= group["high"].values[0]
    assert apart(group["preferred"].values[0], 2.0) < 0.25
    assert group["p"].values[0] == group["raw_p"].values == 1 / 201
    assert group["p"].values[1] > 0.05
    assert group["resultant"].values[1] < group["chance_high"].values[1] < group["resultant"].values[0]
    assert float(group["raw_resultant"]) == pytest.approx(special.i1(1) / special.i0(1), abs=0.08)
    assert apart(float(group["raw_preferred"]), 1.0) < 0.15
    assert group["neuron_p"].values[:, 0].max() < 0.05
    assert group["code"].values[1] == pytest.approx(2.0)
    if depth:  # plain R of events that are not locked is that of the phases themselves
        assert group["plain_resultant"].values[1] > 0.2
        assert group["plain_chance_high"].values[1] > 0.2
    first, second, spikes = locking.rows(found)
    assert first["name"] == "phase locking of locked: resultant length"
    assert first["low"] <= first["value"] <= first["high"]
    assert "at the kernel's onset" in first["note"]
    assert "at the kernel's onset" not in spikes["note"]
    assert second["value"] < second["chance_high"]


@pytest.mark.slow  # sixty sets of trials
def test_unlocked_events_exceed_chance_in_one_set_of_twenty():
    generator, sets, above = np.random.default_rng(10), 60, 0
    for _ in range(sets):
        signal, angle, events = whisking_trials(generator, -0.5, neurons=1, trials=8, bins=100)
        free = [event for event in events if event[2] == 1]
        features, parts = decomposed({"x": signal}, {"x": angle}, {"x": free}, kernels=("locked", "free"))
        group = locking.groups(features, parts, Settings(permutations=100, bootstrap=100, phase_bins=8))["/phase"]
        above += group["resultant"].values[1] > group["chance_high"].values[1]
        assert np.isnan(group["resultant"].values[0])
        assert len(locking.rows({"/phase": group})) == 2
    assert above <= 8  # expected 3, 3 binomial s.d. are 5


def test_without_phases_there_is_no_group():
    generator = np.random.default_rng(11)
    made = {"x": drawn(generator, 2, 6), "y": drawn(generator, 2, 6)}
    signals, angles, events = ({name: one[i] for name, one in made.items()} for i in range(3))
    settings = Settings(permutations=100, bootstrap=100, phase_bins=6)
    assert locking.groups(*decomposed(signals, {"x": None, "y": None}, events), settings) == {}
    assert locking.groups(*decomposed(signals, {"x": None, "y": angles["y"] * np.nan}, events), settings) == {}
    assert locking.rows({}) == []
    one = locking.groups(*decomposed(signals, angles | {"x": None}, events), settings)["/phase"]
    assert one["neuron"].values.tolist() == ["y/0", "y/1"]


def test_phases_that_are_never_visited_leave_plain_resultants():
    generator = np.random.default_rng(12)
    signal, angle, events = drawn(generator, 2, 6)
    settings = Settings(permutations=100, bootstrap=100, phase_bins=6)
    half = {"x": np.where(np.abs(angle) < 1.5, angle, np.nan)}
    group = locking.groups(*decomposed({"x": signal}, half, {"x": events}), settings)["/phase"]
    assert not group.attrs["per_time"]
    assert (group["resultant"].values == group["plain_resultant"].values).all()
    assert "never visited" in locking.rows({"/phase": group})[0]["note"]


def test_values_have_tuning_but_no_resultant():
    generator = np.random.default_rng(13)
    signal, angle, events = drawn(generator, 2, 6)
    made = decomposed({"x": signal - 1}, {"x": angle}, {"x": events}, counts=False)
    group = locking.groups(*made, Settings(permutations=100, bootstrap=100, phase_bins=6))["/phase"]
    kept = np.isfinite(angle)[..., None] & np.isfinite(signal)
    occupied = group["occupancy"].values / group["occupancy"].values.sum()
    assert (group["raw_rate"].values * occupied).sum() == pytest.approx((signal - 1)[kept].mean())
    assert np.isnan(group["raw_resultant"])
    assert np.isnan(group["raw_neuron_p"].values).all()
    assert len(locking.rows({"/phase": group})) == 2


@pytest.mark.slow  # three fits
def test_attribution_finds_the_phase_that_spikes_prefer(tmp_path):
    """A kernel of one bin that is held fixed: codes are spikes, so both prefer the planted phase."""
    generator = np.random.default_rng(14)
    signal, angle, _ = whisking_trials(generator, 0.0, neurons=1, trials=24, bins=80)
    features, _ = decomposed({"r": np.minimum(signal, 10)}, {"r": angle}, {"r": []})
    halves = [(0, 8), (8, 16), (16, 24)]
    folds = [Fold(*({"r": [halves[place]]} for place in order)) for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1))]
    groups = {"/features": features.group("r"), "/trials": xr.Dataset()}
    features = Features({"r": xr.DataTree.from_dict(groups)}, folds, {})
    settings = {"kernels": {"spike": {"code": "positive"}}, "lag_bins": 2, "given": {"spike": [1.0, 0.0]}}
    settings |= {"fixed": True, "penalty": 0.5, "training": {"epochs": 1}}
    fits = [dunl_data.fitted(features, tmp_path, "main", fold, **settings) for fold in range(3)]
    tree = attribute(features, fits, Settings(permutations=100, bootstrap=100), {})
    group = tree["phase"].to_dataset()
    assert apart(group["preferred"].values[0], float(group["raw_preferred"])) < 0.3
    assert apart(group["preferred"].values[0], 1.0) < 0.3
    assert group["peak_s"].values.tolist() == [0.0]
    rows = {row["name"]: row for row in json.loads(tree.attrs["headline"])}
    row = rows["phase locking of spike: resultant length"]
    assert row["model"] == "main"
    assert row["value"] > row["chance_high"]
    assert "phase locking of raw spikes: resultant length" in rows


# ---- the figure


@pytest.mark.parametrize(("kernels", "counted"), [(("touch", "whisk"), True), (("dip",), False)])
def test_the_figure_shows_two_cycles_and_their_numbers(tmp_path, kernels, counted):
    made = Made(tmp_path, neurons=(3,), kernels=kernels, counted=counted)
    assert figure.tuning not in figures(made.results(), FigureSettings())
    results = made.results(**made.phases(per_time=counted))
    assert figure.tuning in figures(results, FigureSettings())
    figure.tuning(results, FigureSettings(dpi=60), tmp_path)
    with (tmp_path / "phase.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    group = results.attribution["phase"].to_dataset()
    for index, name in enumerate(kernels):
        own = [row for row in rows if (row["panel"], row["name"]) == ("rate", name)]
        # CSV files hold six significant digits
        assert [float(row["value"]) for row in own] == pytest.approx(group["rate"].values[index], rel=1e-5)
        (length,) = [row for row in rows if (row["panel"], row["name"]) == ("resultant", name)]
        expected = [group[key].values[index] for key in ("resultant", "low", "high", "chance_high", "preferred")]
        found = [float(length[key]) for key in ("value", "low", "high", "chance_high", "phase_rad")]
        assert found == pytest.approx(expected, rel=1e-5)
    assert len([row for row in rows if row["panel"] == "neuron"]) == 3 * (len(kernels) + 1)
    text = (tmp_path / "phase.txt").read_text()
    assert "ONSET" in text
    assert ("never visited" in text) is not counted
    assert ("raw spikes" in text) is counted
