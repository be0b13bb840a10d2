"""What recordings of one dataset must share, and what no two may share."""

from collections.abc import Mapping, Sequence

import xarray as xr

from pellucid.errors import DataError

RATE_TOLERANCE = 0.01
"""Share by which frame rates of recordings may differ: those of measured frame times do."""


def alike(stores: Mapping[str, xr.DataTree], fitted: Sequence[str]) -> None:
    """Raise DataError unless recordings fit together: size and rate of frames, units, and the cells of each retina.

    stores  recording -> features; fitted: those of ganglion cells
    """
    if not fitted:
        raise DataError(
            "dataset",
            expected="recordings of ganglion cells",
            found="none",
            remedy="Add one: interneurons are not fitted.",
        )
    first = stores[fitted[0]]
    (height, width), rate = _size(first), _rate(first)
    for name, tree in sorted(stores.items()):
        if _size(tree) != (height, width) or abs(_rate(tree) - rate) > RATE_TOLERANCE * rate:
            expected = f"{height} x {width} px at {rate:g} Hz, as in {fitted[0]}"
            _refuse(name, expected, f"{_size(tree)[0]} x {_size(tree)[1]} px at {_rate(tree):g} Hz")
    units = str(first["responses"].attrs["units"])
    seen: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for name in fitted:
        group = stores[name]["responses"].dataset
        if group.attrs["units"] != units:
            _refuse(name, f"responses in {units}, as in {fitted[0]}", str(group.attrs["units"]))
        retina = str(stores[name].attrs.get("subject", name)), str(stores[name].attrs.get("session", ""))
        cells = [str(cell) for cell in group["neuron"].values]
        known, wanted = seen.setdefault(retina, (name, cells))
        if cells != wanted:
            expected = f"the cells of {known}, of the same subject and session ({_brief(wanted)})"
            _refuse(name, expected, _brief(cells))


def refuse_copies(stores: Mapping[str, xr.DataTree]) -> None:
    """Raise DataError if two recordings hold the same movie and the same responses."""
    seen: dict[tuple[str, ...], str] = {}
    for name, tree in sorted(stores.items()):
        groups = [group for group in ("stimulus", "responses", "potential") if group in tree.children]
        first = seen.setdefault(tuple(str(tree[group].attrs["fingerprint"]) for group in groups), name)
        if first != name:
            raise DataError(
                f"recordings.{name}",
                expected="data of its own",
                found=f"movie and responses of recordings.{first}",
                remedy="Remove one of the two: a copy would train and test.",
            )


def _size(tree: xr.DataTree) -> tuple[int, int]:
    sizes = tree["stimulus"].dataset.sizes
    return int(sizes["height"]), int(sizes["width"])


def _rate(tree: xr.DataTree) -> float:
    return float(tree["stimulus"].attrs["rate_hz"])


def _brief(cells: list[str]) -> str:
    return f"{len(cells)}: {', '.join(cells[:6])}" + (", ..." if len(cells) > 6 else "")


def _refuse(name: str, expected: str, found: str) -> None:
    raise DataError(
        f"features of {name}",
        expected=expected,
        found=found,
        remedy="Put it into a dataset of its own, or correct the recording's block.",
    )
