"""The scored output of every window of a stretch, each activation computed once instead of once per window.

Windows that end at successive rows share nearly all activations of the shared layers: at level l, position t of a
window depends only on the row it stands on, except for the last few positions, which see the padding at the window's
end. So each layer is evaluated once per row (a convolution dilated by the strides so far) and, for the few positions
at the end, once per window. The result equals the network applied window by window.

    level        1  2  3  4  5  6  7  8
    stride       2  .  2  .  2  .  2  .
    at the end   1  2  2  3  2  3  2  1     positions per window that see the padding
    needed      23 22 11 10  5  4  2  1     positions per window that the last output depends on

The start of a window is never reached when it has at least LEAST_ROWS rows (the Jacobian of the last output spans 46).
A variant of the input (some bands or channels shuffled) recomputes only the columns and channels that it changes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pellucid.systems.deepinsight.model.network import (
    STRIDES,
    DeepInsight,
    SharedConvolution,
    last_outputs,
    same_padding,
)

LEAST_ROWS = 48
PIECE_ROWS = 256
"""Windows in one piece of work."""
PIECE_VALUES = 1 << 15
"""Input values (rows x bands x channels) in one piece: its activations, 64 times as many, stay in the cache."""

Columns = tuple[int, int]


@dataclass(frozen=True)
class Variant:
    """A changed input: some bands of some channels.

    bands     half-open range of changed bands
    channels  (n,) changed channels; none: all
    power     (time, band, channel) the changed values only
    """

    bands: Columns
    channels: Sequence[int] | None
    power: Tensor


@dataclass(frozen=True)
class _Input:
    """What one layer reads: per row far from any window's end, and per window near it, stored channels-last."""

    series: Tensor  # (C, row, F, maps)
    joined: Tensor  # (C, window, position, F, maps), followed by one zero position

    def of(self, channels: Sequence[int]) -> "_Input":
        return _Input(self.series[channels], self.joined[channels])


def predict(
    network: DeepInsight, power: Tensor, ends: np.ndarray, window: int, variants: Sequence[Variant] = ()
) -> Tensor:
    """Return the scored prediction of every window of a stretch, shape (1 + variant, window, output), unchanged first.

    power     (time, frequency, channel), normalised, on the network's device
    ends      (window,) last row of each window, increasing, each at least window - 1
    window    rows of a window
    variants  changed inputs to be scored as well
    """
    pieces = []
    with torch.inference_mode():
        for rows in _pieces(ends, _step(ends)):
            make = _scan_piece if window >= LEAST_ROWS else _window_piece
            pieces.append(
                torch.stack([last_outputs(network.decode(c)) for c in make(network, power, rows, window, variants)])
            )
    return torch.cat(pieces, dim=1)


def _step(ends: np.ndarray) -> int:
    """Return the largest of 1, 2, 4, 8, 16 rows that divides every distance between windows."""
    distance = int(np.gcd.reduce(np.diff(ends))) if len(ends) > 1 else 1
    return int(np.gcd(distance, 2**STRIDES))


def _pieces(ends: np.ndarray, step: int) -> Iterator[np.ndarray]:
    start = 0
    while start < len(ends):
        stop = int(np.searchsorted(ends, ends[start] + PIECE_ROWS * step))
        yield ends[start:stop]
        start = stop


def _window_piece(
    network: DeepInsight, power: Tensor, ends: np.ndarray, window: int, variants: Sequence[Variant]
) -> Iterator[Tensor]:
    """Yield the codes of the windows, then of each variant, window by window: for windows too short to share."""
    index = torch.as_tensor(ends[:, None] - np.arange(window)[::-1], device=power.device)
    base = network.encode(power[index].permute(0, 3, 1, 2))[:, :, :, -1:]
    yield base
    for variant in variants:
        channels = list(range(power.shape[2])) if variant.channels is None else list(variant.channels)
        changed = power[index][..., channels]
        changed[:, :, slice(*variant.bands)] = variant.power[index]
        code = base.clone()
        code[:, channels] = network.encode(changed.permute(0, 3, 1, 2))[:, :, :, -1:]
        yield code


def _scan_piece(
    network: DeepInsight, power: Tensor, ends: np.ndarray, window: int, variants: Sequence[Variant]
) -> Iterator[Tensor]:
    """Yield the codes (window, C, maps, 1, F') of the windows, then of each variant; `window` only bounds `ends`."""
    first, last = int(ends[0]), int(ends[-1])
    rows = slice(first - _needed(network)[0] + 1, last + 1)
    bands, channels = power.shape[1:]
    step = _step(ends)
    chosen = torch.as_tensor((ends - first) // step, device=power.device)
    count = (last - first) // step + 1
    found: list[list[Tensor]] = [[] for _ in range(1 + len(variants))]
    size = max(1, PIECE_VALUES // (PIECE_ROWS * bands))
    for start in range(0, channels, size):
        group = range(start, min(start + size, channels))
        inputs, code, _ = _scan(network, _rows(power[rows, :, group.start : group.stop]), count, step)
        found[0].append(code[:, chosen])
        for number, variant in enumerate(variants, start=1):
            mine = [c for c in group if variant.channels is None or c in variant.channels]
            found[number].append(found[0][-1])
            if mine:
                local = [c - start for c in mine]
                theirs = mine if variant.channels is None else [list(variant.channels).index(c) for c in mine]
                base = inputs if len(mine) == len(group) else [level.of(local) for level in inputs]
                changed = _rows(variant.power[rows][:, :, theirs])
                _, new, columns = _scan(network, changed, count, step, base, variant.bands)
                found[number][-1] = found[0][-1].clone()  # with many bands some columns of the code do not change
                found[number][-1][local, :, slice(*columns)] = new[:, chosen]
    for parts in found:
        yield torch.cat(parts).permute(1, 0, 3, 2)[:, :, :, None]


def _rows(power: Tensor) -> Tensor:
    return power.permute(2, 0, 1)[..., None].contiguous()


def _scan(
    network: DeepInsight,
    series: Tensor,
    count: int,
    step: int,
    base: Sequence[_Input] = (),
    columns: Columns | None = None,
) -> tuple[list[_Input], Tensor, Columns]:
    """Return what every layer reads, the changed columns of the code (C, window, columns, maps), and which they are.

    The windows end `step` rows apart.

    There are `count` of them; the last one ends at the last row. Where windows stand on even rows only, odd phases are
    never computed: the series then keeps every second, fourth ... row, and distances are counted in kept rows.

    series   (C, row, F, 1) input; with `base`, only the changed columns of it
    base     what every layer reads of the unchanged input, where only `columns` changed
    """
    needed, seen = _needed(network), _at_end(network)
    end = series.new_empty((len(series), count, 0, *series.shape[2:]))  # (C, window, position, F, maps)
    read, dilation, columns = [], 1, columns or (0, series.shape[2])
    for number, layer in enumerate(_layers(network), start=1):
        stride = layer.stride[0]
        taken = min(seen[number], needed[number])
        inputs = 2 * taken if stride == 2 else taken + 1
        starts = [dilation * (needed[number - 1] - back) for back in range(inputs, end.shape[2], -1)]
        read.append(_Input(series, _join(series, end, starts, inputs, step)))
        whole = base[number - 1] if base else read[-1]
        following, wider = _convolve(layer, read[-1].joined.flatten(0, 1), whole.joined.flatten(0, 1), columns, stride)
        skip = stride if step % 2 == 0 else 1  # odd phases are not needed
        if any(needed[later] > seen[later] for later in range(number, len(needed))):
            series, _ = _convolve(layer, series, whole.series, columns, skip, dilation)
        end, columns = following.reshape(*end.shape[:2], *following.shape[1:]), wider
        dilation, step = dilation * stride // skip, step // skip
    return read, end[:, :, -1], columns


def _join(series: Tensor, end: Tensor, starts: Sequence[int], inputs: int, step: int) -> Tensor:
    """Return each window's last positions, (C, window, position, F, maps): rows of the series, its end, and a zero."""
    columns = (series if starts else end).shape[-2:]
    joined = series.new_empty((*end.shape[:2], inputs + 1, *columns))
    for position, start in enumerate(starts):
        joined[:, :, position] = series[:, start : start + (joined.shape[1] - 1) * step + 1 : step]
    joined[:, :, len(starts) : -1] = end[:, :, end.shape[2] - (inputs - len(starts)) :]
    joined[:, :, -1] = 0
    return joined


def _convolve(
    layer: SharedConvolution, changed: Tensor, whole: Tensor, columns: Columns, stride: int, dilation: int = 1
) -> tuple[Tensor, Columns]:
    """Apply a layer, padded in frequency but not in time, to the columns that change; return them and which they are.

    changed   (N, T, columns, maps); whole (N, T, F, maps) supplies the unchanged neighbours
    dilation  rows between the taps in time
    """
    total, step = whole.shape[2], layer.stride[1]
    before, _ = same_padding(total, step)
    low = max(0, -(-(columns[0] + before - 2) // step))
    high = min(-(-total // step), (columns[1] - 1 + before) // step + 1)
    start, stop = low * step - before, (high - 1) * step - before + 3
    parts = [
        _zeros(whole, -start),
        whole[:, :, max(start, 0) : columns[0]],
        changed,
        whole[:, :, columns[1] : max(stop, columns[1])],
        _zeros(whole, stop - total),
    ]
    kept = [part for part in parts if part.shape[2]]
    x = torch.cat(kept, dim=2) if len(kept) > 1 else changed
    x = x[:, :, : stop - start].permute(0, 3, 1, 2)  # stored channels-last, which the kernels are fastest on
    kernel = layer.convolution
    y = functional.conv2d(x, kernel.weight, kernel.bias, (stride, step), dilation=(dilation, 1))
    return functional.elu_(y).permute(0, 2, 3, 1), (low, high)


def _zeros(like: Tensor, width: int) -> Tensor:
    return like.new_zeros((*like.shape[:2], max(0, width), like.shape[3]))


def _layers(network: DeepInsight) -> list[SharedConvolution]:
    return [layer for layer in network.shared if isinstance(layer, SharedConvolution)]


def _needed(network: DeepInsight) -> list[int]:
    """Return, per level from the input on, how many positions before a window's end the last output depends on."""
    needed = [1]
    for layer in reversed(_layers(network)):
        needed.append(2 * needed[-1] if layer.stride[0] == 2 else needed[-1] + 1)
    return needed[::-1]


def _at_end(network: DeepInsight) -> list[int]:
    """Return, per level from the input on, how many positions of a window see the padding at its end."""
    seen = [0]
    for layer in _layers(network):
        seen.append((seen[-1] + 2) // 2 if layer.stride[0] == 2 else seen[-1] + 1)
    return seen
