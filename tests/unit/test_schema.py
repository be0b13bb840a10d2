"""The array contract: what breaks it is refused, with the variable and the axis named."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pellucid import schema
from pellucid.errors import SchemaError

ROOT = {name: "x" for name in schema.RECORDING_ATTRIBUTES}


def one(dims: tuple[str, ...], *, units: str | None = "1", dtype: str = "float64", **coordinates) -> xr.DataTree:
    attributes = {} if units is None else {"units": units}
    values = np.zeros((3,) * len(dims), dtype)
    return xr.DataTree.from_dict({"/trials": xr.Dataset({"x": (dims, values, attributes)}, coords=coordinates)})


@given(st.permutations(schema.DIMENSIONS).map(lambda order: tuple(order[:3])))
def test_axes_must_come_in_the_order_of_the_contract(dims):
    times = {"time": np.arange(3.0)} if "time" in dims else {}
    sorted_dims = tuple(sorted(dims, key=schema.DIMENSIONS.index))
    schema.check(one(sorted_dims, **times), "a.zarr")
    if dims != sorted_dims:
        with pytest.raises(SchemaError, match=r"a.zarr, /trials/x: expected axes in the order"):
            schema.check(one(dims, **times), "a.zarr")


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (one(("trial", "electrode")), "/trials/x, axis electrode: expected dimensions among"),
        (one(("trial",), units=None), "/trials/x: expected an attribute `units`"),
        (one(("trial",), dtype="<U3"), "/trials/x: expected strings as object"),
        (one(("time",)), "/trials, axis time: expected a `time` coordinate"),
        (one(("time",), time=np.array([0.0, 2.0, 1.0])), "/trials, coordinate time: .* at index 2"),
        (one(("time",), time=np.array([0.0, np.nan, 1.0])), "coordinate time: .* at index 1"),
        (one(("time",), time=np.arange(3)), "coordinate time: expected finite, strictly increasing seconds"),
    ],
)
def test_what_breaks_the_contract_is_named(tree, message):
    with pytest.raises(SchemaError, match=message):
        schema.check(tree, "a.zarr")


def test_a_group_may_say_its_rate_instead_of_every_time():
    tree = one(("time", "channel"))
    tree["trials"].attrs.update(rate_hz=4.0, start_s=1.0)
    schema.check(tree, "a.zarr")
    np.testing.assert_allclose(schema.sample_times(tree["trials"]), [1.0, 1.25, 1.5])
    np.testing.assert_allclose(schema.sample_times(tree["trials"], 1, 2), [1.25])
    tree["trials"].attrs["rate_hz"] = 0.0
    with pytest.raises(SchemaError, match="expected a positive rate"):
        schema.check(tree, "a.zarr")


def test_two_clocks_do_not_share_a_time_axis():
    tree = xr.DataTree(xr.Dataset(coords={"time": np.arange(3.0)}))
    with pytest.raises(SchemaError, match="root group: expected no `time` axis"):
        schema.check(tree, "a.zarr")


@pytest.mark.parametrize("missing", schema.RECORDING_ATTRIBUTES)
def test_a_recording_says_where_it_comes_from(missing):
    tree = one(("trial",))
    tree.attrs = {name: value for name, value in ROOT.items() if name != missing}
    with pytest.raises(SchemaError, match=f"found no {missing}"):
        schema.check(tree, "a.zarr", kind="recording")


def test_a_recording_has_known_groups_only():
    tree = xr.DataTree.from_dict({"/lfp": xr.Dataset()})
    tree.attrs = dict(ROOT)
    with pytest.raises(SchemaError, match="found lfp"):
        schema.check(tree, "a.zarr", kind="recording")
