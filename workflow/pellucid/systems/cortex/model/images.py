"""Windows of images through a backbone: each image once, its features shared by every window that holds it."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pellucid.systems.cortex.model.movie import Movie
from pellucid.systems.cortex.model.network import Images
from pellucid.systems.cortex.model.windows import Reach, Session, Windows

BATCH = 256
"""Images that go through the backbone at once."""


def batch(windows: Windows, indices: np.ndarray, frames: int) -> Tensor:
    """Return some windows as images, (window, lag, frame, height, width): neighbours repeat what they share.

    frames  channels of an image
    """
    found: list[np.ndarray] = []
    order: list[np.ndarray] = []
    for number in np.unique(windows.session[indices]):
        own = np.flatnonzero(windows.session[indices] == number)
        rows = windows.row[indices[own], None] + windows.lags
        movie = windows.sessions[number].signal
        assert isinstance(movie, Movie)
        images = movie.images(rows.ravel(), frames)
        found.append(images.reshape(*rows.shape, *images.shape[1:]))
        order.append(own)
    joined = np.concatenate(found)
    return torch.from_numpy(joined[np.argsort(np.concatenate(order))])


def encode(
    network: Images,
    windows: Windows,
    indices: np.ndarray,
    frames: int,
    *,
    mask: np.ndarray | None = None,
    progress: str | None = None,
) -> Windows:
    """Return some windows as windows of features, each image of theirs sent through the backbone once.

    network   in evaluation: with batch statistics, or trained further, features of one image would not be one thing
    mask      (height, width) multiplied with the normalised images of all frames
    progress  name of the bar; none: no bar
    A window of n images costs n passes through the backbone without this and one with it.
    """
    device = next(network.parameters()).device
    factor = None if mask is None else torch.from_numpy(mask.astype(np.float32)).to(device)
    sessions: list[Session] = []
    wanted = [
        np.unique(windows.row[indices[windows.session[indices] == number], None] + windows.lags)
        for number in range(len(windows.sessions))
    ]
    bar = tqdm(total=sum(map(len, wanted)), desc=progress, unit="image", disable=None if progress else True)
    for session, rows in zip(windows.sessions, wanted):
        movie = session.signal
        assert isinstance(movie, Movie)
        held = np.full((len(session.target) if len(rows) else 0, network.backbone.size), np.nan, np.float32)
        for start in range(0, len(rows), BATCH):
            own = rows[start : start + BATCH]
            images = torch.from_numpy(movie.images(own, frames)).to(device)
            with torch.inference_mode():
                held[own] = network.features(images if factor is None else images * factor).cpu().numpy()
            bar.update(len(own))
        sessions.append(replace(session, signal=held))
    bar.close()
    reach = Reach(windows.reach.half, windows.reach.lag)
    chosen = (windows.session[indices], windows.row[indices], windows.target[indices])
    return Windows(sessions, reach, *chosen)


def predict(network: Images, windows: Windows, *, size: int = 512) -> np.ndarray:
    """Return the output of windows of features, (window,): logits, or standardised speed."""
    device = next(network.parameters()).device
    found = []
    for start in range(0, windows.count, size):
        features = windows.tensor(np.arange(start, min(start + size, windows.count))).to(device)
        with torch.inference_mode():
            found.append(network.from_features(features).cpu().numpy())
    return np.concatenate(found)
