"""The test windows of one fit, in order of time, and what the test set of a fold is a sample of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.artifacts import Features, Rows
from pellucid.systems.cortex.model.restore import Decoder


@dataclass(frozen=True)
class Tested:
    """What one fit said of its test windows, sorted by session and row.

    names       the sessions (recordings)
    session     (window,) index into `names`
    row         (window,) row of the labelled frame
    segment     (window,) recorded segment of that row
    time        (window,) s on the session's clock
    state       (window,) the label the fit is scored on, or the speed, NaN where there is none
    prediction  (window,) probability of state 1, or the decoded speed
    """

    names: Sequence[str]
    session: np.ndarray
    row: np.ndarray
    segment: np.ndarray
    time: np.ndarray
    state: np.ndarray
    prediction: np.ndarray

    def known(self) -> "Tested":
        """Return the windows with a label."""
        return self.only(np.isfinite(self.state))

    def only(self, chosen: np.ndarray) -> "Tested":
        """Return some windows; chosen is (window,) bool."""
        arrays = (self.session, self.row, self.segment, self.time, self.state, self.prediction)
        return Tested(self.names, *(array[chosen] for array in arrays))


def of(decoder: Decoder, features: Features) -> Tested:
    """Return the test windows of a restored fit with its predictions."""
    windows = decoder.windows("test")
    prediction = np.asarray(decoder.predict("test"))
    order = np.lexsort((windows.row, windows.session))
    session, row = windows.session[order], windows.row[order]
    segment, time = np.zeros(len(row), np.int64), np.zeros(len(row))
    for index, name in enumerate(windows.names):
        group, own = features.group(name, "behaviour"), session == index
        segment[own] = group["segment"].values[row[own]]
        time[own] = float(group.attrs["start_s"]) + row[own] / float(group.attrs["rate_hz"])
    return Tested(list(windows.names), session, row, segment, time, windows.state[order], prediction[order])


@dataclass(frozen=True)
class Unit:
    """What a fold's test set is one sample of.

    kind        "mouse": never trained on; "block": a stretch of time of mice that are trained on as well
    name        the test mouse, or "block k" with k the fold
    validation  the validation mouse; None for blocks
    """

    kind: str
    name: str
    validation: str | None


def unit(features: Features, fold: int) -> Unit:
    """Return what the test set of a fold is one sample of: a mouse, unless the mouse is trained on in other rows."""
    split = features.folds[fold]
    tested, trained = _mice(features, split.test), _mice(features, split.train)
    if set(tested) & set(trained):
        return Unit("block", f"block {fold}", None)
    return Unit("mouse", "+".join(tested), "+".join(_mice(features, split.validation)))


def mice(features: Features) -> int:
    """Return the number of mice of the dataset."""
    return len({str(tree.attrs["subject"]) for tree in features.stores.values()})


def _mice(features: Features, rows: Rows) -> list[str]:
    names = [name for name, ranges in rows.items() if any(stop > start for start, stop in ranges)]
    return sorted({str(features.stores[name].attrs["subject"]) for name in names})
