"""The raw files of a simulated session, as different laboratories keep them.

session  session.mat: `raster` (trial, time, neuron), 0 or 1 at 1 ms, or `photometry`, NaN after a trial's end; `t_ms`
         (time,); the times of events in s on the trial's clock, NaN where absent, `cue_s` and `reward_s` (trial,) or
         `kernel0_s`, `kernel1_s`, ... (trial, event), a stimulus log that an analysis may use or leave; covariates
         (trial,): `reward_ul`, `trial_type` of dopamine, `reward` of photometry
eshel    neuron1.mat, ...: `responses.spike`, the times of spikes in ms on one clock of the session, on which trials
         follow each other without a gap; `events.odorOn` in ms, 1000 ms after a trial's start: the cue, and of types
         1-7 the reward; `events.trialType` (published)
whisker  Dir1/Neuron1/Stim3/trngdata.mat with the first three fifths of the trials and testdata.mat with the others:
         `y` (time, trial), 0 or 1 at 1 ms; `t` of the same shape, 1 where an event starts (published)
flmm     session.csv: a row for each trial; reward, trial (from 1), cue_s, reward_s, photometry.1, photometry.2, ...,
         empty after the trial's end
"""

from pathlib import Path

import numpy as np

from pellucid.readers import csv, matlab
from pellucid.systems.dunl.simulate.events import Design
from pellucid.systems.dunl.simulate.scenarios import CUE_MS, Row

TRAINED = 0.6
"""Share of the trials in trngdata.mat: 30 of 50 were published."""


def write(folder: Path, row: Row, design: Design, signal: np.ndarray) -> None:
    """Write the raw files of the row's layout.

    signal  (trial, time, neuron)
    """
    {"session": session, "eshel": eshel, "whisker": whisker, "flmm": flmm}[row.layout](folder, row, design, signal)


def session(folder: Path, row: Row, design: Design, signal: np.ndarray) -> None:
    """Write session.mat, with every array of the session."""
    variables = {
        "raster" if row.noise is None else "photometry": signal,
        "t_ms": np.arange(row.samples) * float(row.step_ms),
        **{f"{name}_s": time / 1000 for name, time in design.log_ms.items()},
        **design.covariates,
    }
    matlab.write(folder / "session.mat", variables)


def eshel(folder: Path, row: Row, design: Design, signal: np.ndarray) -> None:
    """Write one file for each neuron, its spikes on one clock of the session."""
    on_session = signal.reshape(-1, row.neurons)
    digits = len(str(row.neurons))
    events = {
        "odorOn": np.arange(row.trials) * float(row.trial_ms) + CUE_MS,
        "trialType": design.covariates["trial_type"].astype(float),
    }
    for neuron in range(row.neurons):
        spike = np.flatnonzero(on_session[:, neuron]).astype(float)
        path = folder / f"neuron{neuron + 1:0{digits}}.mat"
        matlab.write(path, {"responses": {"spike": spike}, "events": events})


def whisker(folder: Path, row: Row, design: Design, signal: np.ndarray) -> None:
    """Write two files for each neuron, with its trials for training and for testing."""
    trial, event = np.nonzero(np.isfinite(design.onset_ms))
    deflection = np.zeros((row.samples, row.trials), np.uint8)
    deflection[design.onset_ms[trial, event].astype(int), trial] = 1
    cut = min(max(1, round(TRAINED * row.trials)), row.trials - 1)
    for neuron in range(row.neurons):
        y = signal[..., neuron].T
        place = folder / "Dir1" / f"Neuron{neuron + 1}" / "Stim3"
        matlab.write(place / "trngdata.mat", {"y": y[:, :cut], "t": deflection[:, :cut]})
        matlab.write(place / "testdata.mat", {"y": y[:, cut:], "t": deflection[:, cut:]})


def flmm(folder: Path, row: Row, design: Design, signal: np.ndarray) -> None:
    """Write a table with a row for each trial of one fibre."""
    columns = {
        "reward": design.covariates["reward"],
        "trial": np.arange(1, row.trials + 1),
        **{f"{name}_s": time / 1000 for name, time in design.log_ms.items()},
        **{f"photometry.{sample + 1}": signal[:, sample, 0] for sample in range(row.samples)},
    }
    csv.write(folder / "session.csv", columns)
