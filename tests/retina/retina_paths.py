"""Small networks of several kinds and shapes, one of them trained, and stimuli of every kind for them."""

import numpy as np
import torch
from torch.nn import functional

from pellucid.systems.retina.model.network import Network
from pellucid.systems.retina.model.norms import Normalised
from pellucid.systems.retina.model.settings import Settings

SHAPE, HISTORY = (11, 14), 8
PLACES = [(1, 1), (2, 4), (1, 3)]
KINDS = {
    "convgc": {
        "preset": "convgc",
        "layers": [{"channels": 6, "kernel_px": [5, 5], "stacked": True}, {"channels": 4, "kernel_px": [3, 5]}],
        "readout": {"kernel_px": [3, 2]},
        "dropout": 0,
    },
    "bn_cnn": {
        "preset": "bn_cnn",
        "layers": [{"channels": 5, "kernel_px": [4, 5]}, {"channels": 4, "kernel_px": [3, 3]}],
    },
    "mcintosh_2016": {
        "preset": "mcintosh_2016",
        "layers": [{"channels": 7, "kernel_px": [5, 4]}, {"channels": 3, "kernel_px": [3, 3]}],
    },
    "one layer": {"layers": [{"channels": 5, "kernel_px": [5, 5]}], "readout": {"kernel_px": [4, 3]}},
    "three layers": {
        "layers": [
            {"channels": 4, "kernel_px": [3, 3]},
            {"channels": 5, "kernel_px": [3, 2]},
            {"channels": 3, "kernel_px": [3, 3]},
        ],
        "readout": {"kernel_px": [2, 3]},
    },
    "full field": {
        "layers": [{"channels": 6, "kernel_px": [1, 1]}, {"channels": 4, "kernel_px": [1, 1]}],
        "readout": {"kernel_px": [1, 1]},
    },
}  # fmt: skip


def network(kind="convgc", seed=0, dtype=torch.float32, gain=1.5):
    """A network with random weights, with moments of random movies and scales that make it nonlinear."""
    torch.manual_seed(seed)
    settings = Settings.model_validate({"history": HISTORY, **KINDS[kind]})
    shape = (1, 1) if kind == "full field" else SHAPE
    made = Network(settings, shape, [(0, 0)] * 3 if kind == "full field" else PLACES)
    norms = [module for module in made.modules() if isinstance(module, Normalised)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        made(torch.randn(200, HISTORY, *shape) + torch.randn(200, HISTORY, 1, 1))
        for norm in norms:
            norm.shift.normal_(0, 0.5)
            norm.scale.uniform_(0.5 * gain, 1.5 * gain)
        if not norms:
            for convolution in made.convolution_list():
                convolution.parts[-1].weight.mul_(4 * gain)
                convolution.bias.uniform_(-0.5, 0.5)
    return made.eval().to(dtype)


def movie(rows=30, seed=0, shape=SHAPE):
    """Pixel noise, and full-field noise held for three frames."""
    rng = np.random.default_rng(seed)
    held = rng.normal(size=(rows + HISTORY, 1, 1)).repeat(3, 0)[: rows + HISTORY - 1]
    return (0.7 * rng.normal(size=(rows + HISTORY - 1, *shape)) + 0.6 * held).astype(np.float32)


def flashes(period=6, contrast=-2.0):
    """Full-field flashes of two frames, of which one is left out: an omitted stimulus, (time,)."""
    frames = np.zeros(60, np.float32)
    for onset in range(2, 36, period):
        frames[onset : onset + 2] = contrast
    return frames


def step():
    """A dark full-field step, (time,)."""
    frames = np.zeros(40, np.float32)
    frames[12:28] = -1.0
    return frames


def bar(speed=0.4, width=SHAPE[1], px=4, contrast=-2.0):
    """A bar that moves to the right, (time, width), with edges that fall inside pixels."""
    left = -px + speed * np.arange(45)[:, None]
    pixel = np.arange(width)
    return (contrast * np.clip(np.minimum(left + px, pixel + 1) - np.maximum(left, pixel), 0, 1)).astype(np.float32)


def expanded(frames, shape=SHAPE):
    """The same stimulus with all pixels, (time, height, width)."""
    frames = frames[:, None, None] if frames.ndim == 1 else frames[:, None]
    return np.ascontiguousarray(np.broadcast_to(frames, (len(frames), *shape)))


def trained(steps=150):
    """A network fitted to three cells with rectified subunits, ON and OFF, fast and slow."""
    rng = np.random.default_rng(3)
    frames = torch.from_numpy(movie(1500, seed=5))
    lag = np.arange(HISTORY)[::-1]
    course = {True: np.exp(-((lag - 1.5) ** 2) / 1.5), False: np.exp(-((lag - 4) ** 2) / 3)}
    row, column = np.mgrid[:5, :5] - 2
    space = np.exp(-(row**2 + column**2) / 2)
    signs = [(-1, True), (1, True), (-1, False)]
    kernel = np.stack([sign * course[fast][:, None, None] * space for sign, fast in signs])
    drive = functional.conv2d(frames.unfold(0, HISTORY, 1).permute(0, 3, 1, 2), torch.from_numpy(kernel).float())
    units = functional.relu(drive / drive.std((0, 2, 3), keepdim=True) - 0.3)
    weight = torch.tensor([[1.2, 0.5, -0.6], [0.9, 1.0, -0.3], [1.0, 0.0, 0.4]])
    pooled = torch.stack([units[:, :, r : r + 5, c : c + 5].mean((2, 3)) for r, c in PLACES], 1)
    rate = 4 * functional.softplus(2 * (pooled * weight).sum(2) - 0.3)
    response = torch.poisson(rate, generator=torch.Generator().manual_seed(0))
    made = network("convgc", seed=1, gain=1.0).train()
    made.noise = 0.05
    made.readout.norm.scale.data.fill_(3.0)
    made.readout.norm.shift.data.fill_(3.0)
    optimiser = torch.optim.Adam(made.parameters(), 3e-2)
    for norm in (module for module in made.modules() if isinstance(module, Normalised)):
        norm.momentum = 0.1
    windows = frames.unfold(0, HISTORY, 1).permute(0, 3, 1, 2)
    for _ in range(steps):
        own = torch.from_numpy(rng.integers(0, len(windows), 64))
        found = made(windows[own])
        loss = (found - response[own] * torch.log(found + 1e-8)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    made.eval()
    return made
