"""The raw files of a simulated retina, in the layout of Maheswaranathan et al. 2023.

ganglion_cell_data/00-01-01/STIMULUS.h5, STIMULUS whitenoise, mixed or flicker (reader retina_hdf5): movie in 8-bit grey
levels, spike counts `binned` and their smoothed rates `firing_rate_10ms`; of the test movie every repeat and the mean.
interneuron_data/bipolars_simulated.h5, stimulus boxes (reader retina_interneurons), with `interneurons`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from pellucid.readers import retina_hdf5, retina_interneurons
from pellucid.systems.retina.simulate import flicker, stimuli
from pellucid.systems.retina.simulate.interneurons import Recorded
from pellucid.systems.retina.simulate.settings import Settings, Stimulus
from pellucid.systems.retina.simulate.teacher import Teacher

EXPERIMENT = Path("ganglion_cell_data") / "00-01-01"
INTERNEURONS = Path("interneuron_data") / "bipolars_simulated.h5"
NAMES: dict[Stimulus, str] = {"white": "whitenoise", "mixed": "mixed", "flicker": "flicker"}

SMOOTHING_S = 0.01
"""s.d. of the Gaussian that makes rates of counts."""


def write_cells(settings: Settings, teacher: Teacher, kind: Stimulus, seed: int, folder: Path) -> np.ndarray:
    """Write one recording of ganglion cells, the movie a block in memory at a time.

    Returns the noiseless responses, (time, neuron) in spikes per sample, of training rows and then of test rows.
    """
    train = _Shown(settings, teacher, kind, seed, "train")
    test = _Shown(settings, teacher, kind, seed, "test")
    parts = {
        "train": retina_hdf5.Part(
            settings.frames, train.movie(), lambda: {name: array[0] for name, array in train.responses(1).items()}
        ),
        "test": retina_hdf5.Part(
            settings.test_frames,
            test.movie(),
            lambda: _means(test.responses(settings.repeats)),
            lambda: test.responses(settings.repeats),
        ),
    }
    retina_hdf5.write(folder / EXPERIMENT / f"{NAMES[kind]}.h5", parts, settings.rate_hz)
    return np.concatenate([train.rate, test.rate])


def write_interneurons(recorded: Recorded, folder: Path) -> None:
    """Write one recording of interneurons."""
    retina_interneurons.write(folder / INTERNEURONS, {"boxes": (recorded.boxes, recorded.potential)})


class _Shown:
    """A training or test movie and the responses to it, which are known once the movie has been drawn."""

    def __init__(self, settings: Settings, teacher: Teacher, kind: Stimulus, seed: int, role: str) -> None:
        self._settings, self._teacher, self._kind, self._seed, self._role = settings, teacher, kind, seed, role
        self._frames = settings.test_frames if role == "test" else settings.frames
        self._rate: list[np.ndarray] = []

    def movie(self) -> Iterator[np.ndarray]:
        """Yield blocks of frames (time, height, width) uint8; the retina begins every part of the movie in grey."""
        part = self._frames if self._role == "test" else self._frames // self._settings.blocks
        done, state = 0, self._teacher.begin()
        for drawn in self._drawn():
            for block in np.split(drawn, range(part - done % part, len(drawn), part)):
                state = state if done % part else self._teacher.begin()
                drive, state = self._teacher.parts(stimuli.standardised(block), state)
                self._rate.append(self._teacher.rate(drive).astype(np.float32))
                done += len(block)
            yield drawn

    @property
    def rate(self) -> np.ndarray:
        """Noiseless responses, (time, neuron) float32 in spikes per sample."""
        return np.concatenate(self._rate)

    def responses(self, repeats: int) -> dict[str, np.ndarray]:
        """Draw Poisson counts, and smooth them within each part of the movie: name -> (repeat, cell, time)."""
        from scipy.ndimage import gaussian_filter1d

        rate_hz, generator = self._settings.rate_hz, stimuli.stream(self._seed, self._kind, f"{self._role}_noise")
        counts = generator.poisson(self.rate.T, (repeats, *self.rate.T.shape)).astype(np.uint16)
        parts = 1 if self._role == "test" else self._settings.blocks
        smoothed = [
            gaussian_filter1d(part * rate_hz, SMOOTHING_S * rate_hz, axis=-1, output=np.float32)
            for part in np.split(counts, parts, axis=-1)
        ]
        return {"binned": counts, "firing_rate_10ms": np.concatenate(smoothed, axis=-1)}

    def _drawn(self) -> Iterator[np.ndarray]:
        generator = stimuli.stream(self._seed, self._kind, self._role)
        if self._kind == "flicker":
            return flicker.movie(self._settings, self._frames, generator)
        return stimuli.noise(self._kind, self._settings, self._frames, generator)


def _means(repeats: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the mean over repeats, (cell, time) float32, of arrays (repeat, cell, time)."""
    return {name: values.mean(axis=0, dtype=np.float64).astype(np.float32) for name, values in repeats.items()}
