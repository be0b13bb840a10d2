"""Reverse correlation: what a movie was like, on average, before a response."""

import numpy as np


def sta(frames: np.ndarray, rows: np.ndarray, response: np.ndarray, *, history: int, lag: int) -> np.ndarray:
    """Return spike-triggered averages, (neuron, lag, height, width), oldest frame first.

    frames    (time, height, width) standardised movie
    rows      (row,) numbers of the responses among the frames; row t sees frames t - lag - history + 1 to t - lag
    response  (row, neuron) in any unit; NaN counts for nothing
    history   frames seen; lag: bins from the newest of them to the response

    A_n = sum_t (r_tn - mean r_n) s_t / sum_t r_tn, one matrix product for each frame of the history.
    """
    known = np.isfinite(response)
    filled = np.where(known, response, 0.0)
    count = np.maximum(known.sum(0), 1)
    weight = np.where(known, filled - filled.sum(0) / count, 0.0) / np.maximum(np.abs(filled).sum(0), 1e-12)
    flat = frames.reshape(len(frames), -1)
    first = rows - lag - history + 1
    found = np.stack(
        [weight.T.astype(np.float32) @ flat[first + step].astype(np.float32) for step in range(history)], 1
    )
    return found.reshape(response.shape[1], history, *frames.shape[1:])
