"""The wavelet engine on real field potentials: equal to the plain transform, and theta where it is known to be."""

import numpy as np
import pytest
from published_transform import block_means, wavelet_power

from pellucid import readers
from pellucid.preprocess import wavelets
from pellucid.preprocess.settings import Wavelets
from recordings import find

CA1 = "e022b75b9dbfd4206ac6aaec9b38e33b746b4ab8831fe6324517508cb4ac93b2"
EC3 = "3d507619b2ca477ee981145d4961198a502e24f3febba22a31c3054bcf57eb49"
DVH = {
    "set": "7187ba39731dac911d6c0213c402f18f7ccce6afcaf8bd531c8d6723ca7563e1",
    "egf": "42ef67e878dbb99f485baac1c3065e52fe5a5ff2dc3d67ba5cdcd8109bf970b6",
    "egf2": "fd7d3cbaf95d80eccbf67c3b589d7fb2bcad090b0b21c0b4cf0de1065ebb44c5",
}


def wide_band():
    """Two channels at 4800 Hz, (time, channel), as the reader of the format gives them, in uV."""
    files = [find(f"DVH_2013103103.{ending}", digest) for ending, digest in DVH.items()]
    reader = readers.reader("axona")
    signal = reader.read(files, reader.Settings(signal="egf", position=False))["ephys/signal"]
    return signal.values * float(signal.attrs["scale"])


def load(name):
    """Return a recording of published test data: samples (time, channel) and rate, Hz."""
    if name == "wide band":
        return wide_band(), 4800.0
    path = find(*{"CA1": ("ca1.npy", CA1), "EC3": ("ec3.npy", EC3)}[name])
    return np.load(path, allow_pickle=False)[:, None], 1250.0


@pytest.mark.recording
@pytest.mark.slow
@pytest.mark.parametrize("name", ["CA1", "EC3", "wide band"])
def test_real_signals_have_the_power_of_the_plain_transform(name):
    signal, rate = load(name)
    block = int(rate) // 25
    settings = Wavelets(reference="none", lowest_hz=2, block_samples=block)
    found = wavelets.block_power(signal, rate, settings)
    bands = wavelets.frequencies(rate, len(signal), settings)
    rows = slice(50, -50)  # 2 s: the lowest band, 2.4 Hz at least, reaches 2 s
    for b in range(0, len(bands), 3):
        truth = np.stack([block_means(wavelet_power(c, rate, bands[b]), block) for c in signal.T.astype(float)], 1)
        error = np.abs(found[rows, b] - truth[rows]) / (truth[rows] + truth[rows].mean(0))
        assert error.mean() < 1e-4, bands[b]
        # next to an artefact that is 1e4 times the power of the band, the corrected edges of a block err at Nyquist
        assert error.max() < (0.1 if b == 0 else 1e-3), bands[b]
    power = found.mean((0, 2))
    theta = power[(bands > 6) & (bands < 10)].mean() / power[(bands > 12) & (bands < 20)].mean()
    print(f"{name}: {len(bands)} bands {bands[0]:.5g} to {bands[-1]:.3g} Hz, theta over 12-20 Hz {theta:.2f}")
    assert theta > {"CA1": 1, "EC3": 1, "wide band": 2}[name]
