"""Features of real recordings against loops over the files themselves; skipped where these are not at hand."""

import numpy as np
import pytest
import scipy.io

from pellucid import store
from pellucid.artifacts import Features, row_indices
from pellucid.stages.convert import convert
from pellucid.systems.dunl.features.collect import collect
from pellucid.systems.dunl.features.extract import extract
from pellucid.systems.dunl.features.settings import Settings
from pellucid.systems.dunl.model import traces
from recordings import find

M53 = ("m53_NAc_L-2019-11-24-093939.ppd", "5a7139125bea8843396e977ace42cc200aedb6de92b8addcc57a65b16ae59727")
M53_CUES = ("reward_cue_times.npy", "64441a76c78098efe5277082b0cf929996d2f453f211f730346109203fd51802")
VPM = ("VPM_cell_83_E2.mat", "bd4ae22fce4dfc5a4ba703f46056c3b0deb9ec3a7c8479625cd178badfbd698c")
PIRIFORM = ("aPCx_15.mat", "e2af68e56e5fc0754bb51c2b0bebff3ff23b1bca01dd9ff11d73a1249be86db8")

pytestmark = pytest.mark.recording


def features(folder, files, reader, options, settings):
    """The features of one recording, through the stages."""
    block = {"dataset": "d", "subject": "s", "raw": str(files[0]), "reader": reader, "options": options}
    convert("r", block, files, folder / "recording.zarr")
    typed = Settings.model_validate(settings)
    extract(store.open_store(folder / "recording.zarr", kind="recording"), typed, folder / "r.zarr")
    stores = {"r": store.open_store(folder / "r.zarr")}
    return Features(stores, collect(stores, typed).folds, {})


def test_odours_of_piriform_cortex(tmp_path):
    settings = {
        **{"source": "/trials/raster", "bin_ms": 25, "trial_type": "/trials/odour"},
        "neurons": {"source": "/trials/good", "equals": [1]},
        "trials": {"window_s": [-2, 4]},
        "events": {"odour": {"at_s": 0}},
        "covariates": {"repeat": {"source": "/trials/repeat"}},
        "split": {"by": "covariate", "folds": 1, "test": {"covariate": "repeat", "least": 8}},
    }
    path = find(*PIRIFORM)
    found = features(tmp_path, [path], "odour_mat", {"experiment": 0, "start_s": -4.0}, settings)
    group = found.group("r")
    cells = [
        cell
        for shank in scipy.io.loadmat(path)["espe"][0, 0]["shank"].ravel()
        for unit in shank["SUA"].ravel()
        for cell in unit["cell"].ravel()
        if cell["good"].any()
    ]
    assert group["signal"].shape == (150, 240, len(cells)) == (150, 240, 20)
    for neuron in (0, 7, 19):
        for odour in (0, 8):
            raster = cells[neuron]["odor"].ravel()[odour]["spikeMatrix"].toarray()[:, 2000:8000]
            expected = raster.reshape(10, 240, 25).sum(axis=2)
            assert (group["signal"].values[10 * odour : 10 * odour + 10, :, neuron] == expected).all()
    (fold,) = found.folds
    assert row_indices(fold.test["r"]).tolist() == [row for row in range(150) if row % 10 >= 7]
    assert (traces.load(found, 0, "test").onset == 80).all()


def test_cued_rewards_in_striatal_photometry(tmp_path):
    settings = {
        **{"source": "/imaging/signal", "kind": "values", "bin_ms": 100, "baseline_s": [-2, 0]},
        "photometry": {"lowpass_hz": 10, "bleaching": "exponential"},
        "trials": {"around": "/events/cue", "window_s": [-2, 6]},
        "events": {"cue": {"source": "/events/cue"}},
    }
    files = [find(*M53), find(*M53_CUES)]
    found = features(tmp_path, files, "ppd", {"events": {"cue": M53_CUES[0]}}, settings)
    group = found.group("r")
    # dopamine in nucleus accumbens rises after cues that predict reward
    signal = group["signal"].values[..., 0]
    assert signal[:, 20:40].mean() > signal[:, :20].mean() + 0.005
    part = traces.load(found, 0, "train")
    assert (part.onset == 20).all()
    assert part.before.sum(axis=1).tolist() == [20] * len(part)


def test_whisking_bins_of_a_thalamic_unit(tmp_path):
    settings = {
        **{"source": "/spikes/time", "bin_ms": 5, "split": {"by": "block", "folds": 3}},
        "trials": {"every_s": 1.0, "observed_s": [0.12, 10.12]},
        "inside": {"source": "/behaviour/whisking", "threshold": 0.5},
    }
    path = find(*VPM)
    group = features(tmp_path, [path], "whisker_segments", {"segment": 1}, settings).group("r")
    segment = scipy.io.loadmat(path)["whiskparams"][0, 1]
    whisking = np.isin(segment["samples"].ravel(), segment["iswhisking"].ravel())
    spikes = segment["spikes"].ravel() / 40_000
    first = segment["samples"].ravel()[0] / 40_000
    signal = group["signal"].values[..., 0]
    for row, window in enumerate(group["source"].values):
        for bin_ in range(0, 200, 7):
            start = 0.12 + window + 0.005 * bin_
            touched = np.arange(np.floor((start - first) * 1000 + 1e-6), np.ceil((start + 0.005 - first) * 1000 - 1e-6))
            inside = touched.min() >= 0 and touched.max() < len(whisking) and whisking[touched.astype(int)].all()
            assert np.isfinite(signal[row, bin_]) == inside
            if inside:
                assert signal[row, bin_] == ((spikes >= start - 1e-9) & (spikes < start + 0.005 - 1e-9)).sum()
