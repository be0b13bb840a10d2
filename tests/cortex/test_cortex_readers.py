"""TIFF movies with behaviour beside them, and the published MATLAB layouts: read as written, lazily, or refused."""

import tracemalloc
import weakref

import numpy as np
import pytest
import tifffile
import xarray as xr

from pellucid import config, readers, schema, store
from pellucid.errors import ConfigError, DataError, MissingError
from pellucid.readers import cortex_mat, csv, matfile, tiff, tiff_movie

WHOLE = (slice(None),) * 3


def movie(frames=12, height=9, width=14, dtype="uint16", seed=0):
    values = np.random.default_rng(seed).integers(0, 2**8 if dtype == "uint8" else 2**16, (frames, height, width))
    return (values / 7).astype(dtype) if dtype == "float32" else values.astype(dtype)


def imaging(source="m", dims=("time", "height", "width"), **variables):
    named = {"movie": {"source": source, "dims": list(dims), "units": "count"}}
    named |= {name: {"source": where, "dims": list(dims), "units": "count"} for name, where in variables.items()}
    return {"imaging": {"rate_hz": 30, "variables": named}}


def read(folder, groups, **options):
    given = tiff.Settings.model_validate({"groups": groups, **options})
    return tiff.read(sorted(path for path in folder.rglob("*") if path.is_file()), given)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_movie_and_table_are_read_as_written(dtype, bigtiff, tmp_path):
    frames = movie(dtype=dtype)
    run, speed = np.arange(12) % 3 == 0, np.linspace(0, 2, 12)
    tiff.write(tmp_path / "m1_s0.tif", iter(frames), bigtiff=bigtiff)
    tiff.write(tmp_path / "m1_s0_parcels.tif", frames[:1])
    csv.write(tmp_path / "m1_s0.csv", {"Frame": np.arange(12), "Speed": speed, "Run": run.astype(int)}, delimiter="\t")
    (tmp_path / "README.txt").write_text("not a table,\nas one can see")
    groups = imaging("{stem}")
    groups["imaging"]["variables"]["parcels"] = {"source": "{stem}_parcels", "dims": ["height", "width"]}
    groups["behaviour"] = {
        "rate_hz": 30,
        "variables": {
            "run": {"source": "{stem}/Run", "dims": ["time"]},
            "speed": {"source": "Speed", "dims": ["time"], "units": "cm/s"},
        },
    }
    tree = read(tmp_path, groups, stem="m1_s0", delimiter="\t")
    schema.check(tree, "movie")
    clock = {"rate_hz": 30.0, "start_s": 0.0}
    images = {
        "movie": (("time", "height", "width"), frames, {"units": "count"}),
        "parcels": (("height", "width"), frames[0], {"units": "1"}),
    }
    behaviour = {"run": ("time", run.astype(int), {"units": "1"}), "speed": ("time", speed, {"units": "cm/s"})}
    wanted = {"/imaging": xr.Dataset(images, attrs=clock), "/behaviour": xr.Dataset(behaviour, attrs=clock)}
    xr.testing.assert_identical(tree.load(), xr.DataTree.from_dict(wanted))
    assert tree["imaging/movie"].dtype == dtype
    assert (tifffile.imread(tmp_path / "m1_s0.tif") == frames).all()


def test_equal_frames_give_equal_bytes_without_date_or_software(tmp_path):
    for name in ("a.tif", "b.tif"):
        tiff.write(tmp_path / name, movie())
    content = (tmp_path / "a.tif").read_bytes()
    assert content == (tmp_path / "b.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert not {"DateTime", "Software"} & {tag.name for tag in file.pages.first.tags}


@pytest.mark.parametrize("frames", [[], [np.zeros((3, 4)), np.zeros((4, 3))], [np.zeros(4)]], ids=str)
def test_frames_that_differ_are_not_written(frames, tmp_path):
    with pytest.raises(DataError, match="frame"):
        tiff.write(tmp_path / "a.tif", frames)
    assert not list(tmp_path.iterdir())


def test_stem_takes_no_longer_number(tmp_path):
    for number, name in enumerate(("m1_s1", "m1_s10", "m1_s1_parcels")):
        tiff.write(tmp_path / f"{name}.tif", movie(3, seed=number))
    csv.write(tmp_path / "m1_s10.csv", {"Run": np.arange(3)})
    given = tiff.Settings.model_validate({"groups": imaging("{stem}"), "stem": "m1_s1"})
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in tiff.select(files, given)] == ["m1_s1.tif", "m1_s1_parcels.tif"]
    assert (tiff.read(files, given)["imaging/movie"].values == movie(3)).all()
    open_end = given.model_copy(update={"stem": "m1_"})
    assert len(tiff.select(files, open_end)) == 4
    with pytest.raises(MissingError, match="m2"):
        tiff.select(files, given.model_copy(update={"stem": "m2"}))


def test_tables_and_mat_files_lie_beside(tmp_path):
    tiff.write(tmp_path / "m.tif", movie(4))
    csv.write(tmp_path / "log.csv", {"x": np.arange(4.0)})
    matfile.write(tmp_path / "state.mat", {"session": {"run": np.array([[0, 1, 1, 0]])}})
    variables = {"x": {"source": "log/x", "dims": ["time"]}, "run": {"source": "state/session.run", "dims": ["time"]}}
    tree = read(tmp_path, imaging() | {"behaviour": {"rate_hz": 30, "variables": variables}})
    assert tree["behaviour/x"].values.tolist() == [0, 1, 2, 3]
    assert tree["behaviour/run"].values.tolist() == [0, 1, 1, 0]
    wrong = imaging() | {"behaviour": {"rate_hz": 30, "variables": {"x": {"source": "log/y", "dims": ["time"]}}}}
    with pytest.raises(DataError, match="log/x"):
        read(tmp_path, wrong)


def separate_pages(path, frames):
    with tifffile.TiffWriter(path) as file:
        for number, frame in enumerate(frames):  # strips of either kind, between the headers of pages
            file.write(frame, contiguous=False, metadata=None, rowsperstrip=4, compression=[None, "zlib"][number % 2])


def appended(path, frames):
    with tifffile.TiffWriter(path) as file:
        file.write(frames[:2], photometric="minisblack")
        file.write(frames[2:], photometric="minisblack")


FORMATS = {
    "pages": separate_pages,
    "series": appended,
    "strips": lambda path, frames: tifffile.imwrite(path, frames, compression="zlib", rowsperstrip=4, metadata=None),
    "tiles": lambda path, frames: tifffile.imwrite(path, frames, compression="zlib", tile=(16, 16), predictor=True),
    "big-endian": lambda path, frames: tifffile.imwrite(path, frames, byteorder=">", metadata=None),
    "bigtiff": lambda path, frames: tifffile.imwrite(path, frames, bigtiff=True, compression="zlib"),
    "imagej": lambda path, frames: tifffile.imwrite(path, frames, imagej=True, metadata={"axes": "TYX"}),
    "virtual": lambda path, frames: tifffile.imwrite(path, frames, imagej=True, truncate=True),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_kind_of_file_gives_the_same_frames(name, tmp_path):
    frames = movie()
    FORMATS[name](tmp_path / "m.tif", frames)
    found = tiff_movie.open_movie(tmp_path / "m.tif")
    assert (found.shape, found.dtype.newbyteorder("=")) == (frames.shape, frames.dtype)
    for index in (WHOLE, (slice(3, 11, 2), slice(2, 7), 5), (4, slice(None), slice(1, 2)), (slice(5, 5), *WHOLE[1:])):
        np.testing.assert_array_equal(found[index], frames[index])
    store.write(tmp_path / "m.zarr", read(tmp_path, imaging()))
    stored = store.open_store(tmp_path / "m.zarr")["imaging/movie"]
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored.values, frames)


def test_colours_that_alternate_are_told_apart(tmp_path):
    frames = movie(11)
    tiff.write(tmp_path / "m.tif", frames)
    tiff.write(tmp_path / "map.tif", frames[:1])
    groups = imaging("m/blue", movie_405="m/violet")
    groups["imaging"]["variables"]["parcels"] = {"source": "map", "dims": ["height", "width"]}
    tree = read(tmp_path, groups, interleaved=["blue", "violet"])
    np.testing.assert_array_equal(tree["imaging/movie"].values, frames[0:10:2])
    np.testing.assert_array_equal(tree["imaging/movie_405"].values, frames[1:10:2])
    np.testing.assert_array_equal(tree["imaging/parcels"].values, frames[0])
    third = tiff_movie.Colour(tiff_movie.open_movie(tmp_path / "m.tif"), 2, 3)
    assert third.shape == (3, 9, 14)
    np.testing.assert_array_equal(third[(slice(1, 3), 4, slice(None))], frames[2::3][1:3, 4])
    np.testing.assert_array_equal(third[(1, *WHOLE[1:])], frames[5])


@pytest.mark.parametrize(("axes", "options"), [("TCYX", {"imagej": True}), ("CTYX", {"ome": True}), ("TCYX", {})])
def test_colours_of_a_hyperstack(axes, options, tmp_path):
    shape = (6, 2) if axes[0] == "T" else (2, 6)
    stack = movie().reshape(*shape, 9, 14)
    tifffile.imwrite(tmp_path / "m.ome.tif", stack, metadata={"axes": axes}, **options)
    tree = read(tmp_path, imaging("m.ome/blue", movie_405="m.ome/violet"), interleaved=["blue", "violet"])
    colour = axes.index("C")
    np.testing.assert_array_equal(tree["imaging/movie"].values, stack.take(0, colour))
    np.testing.assert_array_equal(tree["imaging/movie_405"].values, stack.take(1, colour))
    dims = {"T": "time", "C": "channel", "Y": "height", "X": "width"}
    whole = read(tmp_path, imaging("m.ome", [dims[axis] for axis in axes]))["imaging/movie"]
    assert whole.dims == ("time", "channel", "height", "width")
    np.testing.assert_array_equal(whole.isel(channel=1).values, stack.take(1, colour))


def test_a_block_of_frames_reads_no_other(tmp_path, monkeypatch):
    FORMATS["strips"](tmp_path / "m.tif", movie(60))
    done, pixels = [], tiff_movie._pixels
    monkeypatch.setattr(tiff_movie, "_pixels", lambda file, page: done.append(page) or pixels(file, page))
    found = tiff_movie.open_movie(tmp_path / "m.tif")
    assert len(done) == 1  # the first frame shows whether frames can be read at all
    found[(slice(20, 27), *WHOLE[1:])]
    assert len(done) == 8


def test_memory_is_that_of_the_block(tmp_path):
    tifffile.memmap(tmp_path / "m.tif", shape=(400, 256, 300), dtype="uint16").flush()  # 61 MB, mostly a hole
    tracemalloc.start()
    block = read(tmp_path, imaging())["imaging/movie"][100:110, :, ::2].load()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert block.shape == (10, 256, 150)
    assert peak < 10e6  # 1.5 MB of pixels twice, what dask notes, and the pages


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.7, 0.9])
@pytest.mark.parametrize("name", ["written", *FORMATS])
def test_truncated_file_is_one_error(name, kept, tmp_path):
    path = tmp_path / "m.tif"
    FORMATS.get(name, tiff.write)(path, movie())
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=r"m\.tif: expected a whole TIFF file"):
        read(tmp_path, imaging())


@pytest.mark.parametrize("name", ["written", *FORMATS])
def test_damage_is_noticed_or_harmless(name, tmp_path):
    path, generator = tmp_path / "m.tif", np.random.default_rng(1)
    FORMATS.get(name, tiff.write)(path, movie(5))
    content = path.read_bytes()
    for place in np.concatenate([np.arange(0, 300, 5), generator.integers(0, len(content), 30)]):
        damaged = bytearray(content)
        damaged[place] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        try:
            found = tiff_movie.open_movie(path)
            found[(slice(None),) * len(found.shape)]
        except DataError as error:
            assert error.where  # noqa: PT017 - most places are harmless


@pytest.mark.parametrize(
    "other", [np.zeros((14, 9), "uint16"), np.zeros((9, 14), "uint8"), np.zeros((9, 15), "uint16")]
)
@pytest.mark.parametrize("place", [1, 4, 9])
def test_frames_of_other_size_or_type_are_refused(other, place, tmp_path):
    with tifffile.TiffWriter(tmp_path / "m.tif") as file:
        for number, frame in enumerate(movie(10)):
            file.write(other if number == place else frame, contiguous=False, metadata=None)
    with pytest.raises(DataError, match=f"frame {place}: expected uint16 of shape \\(9, 14\\)"):
        read(tmp_path, imaging())


def test_compression_that_cannot_be_read_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", movie(1), compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "m.tif", mode="r+b") as file:
        file.pages.first.tags["Compression"].overwrite(50001)  # WebP
    with pytest.raises(DataError, match="without compression"):
        read(tmp_path, imaging())


# ---- MATLAB ----


def signals(rows=50, frames=(40, 33), mice=2):
    generator = np.random.default_rng(3)
    return {
        mouse: [generator.normal(size=(rows, length)).astype(np.float32) for length in frames]
        for mouse in range(1, mice + 1)
    }


def runs(mouse, frames=(40, 33)):
    return [(np.arange(length)[None] // (3 + mouse) % 2).astype(np.uint8) for length in frames]


def save(folder, version="7.3", rows=50, speed=True, violet=True):
    made = signals(rows)
    files = {"signal_2mice_raw": ("signal", made.__getitem__), "runrest_2mice": ("runrest", runs)}
    if speed:
        files["speed_2mice"] = ("speed", lambda mouse: [3.0 * run for run in runs(mouse)])
    if violet:
        files["signal_2mice_405"] = ("signal", lambda mouse: [-signal for signal in made[mouse]])
    for stem, (name, sessions) in files.items():
        if version == "7.3":
            cortex_mat.write(folder / f"{stem}.mat", name, 2, sessions)
        else:
            matfile.write(folder / f"{stem}.mat", {f"{name}{mouse}": list(sessions(mouse)) for mouse in (1, 2)})
    return made


def read_mat(folder, **options):
    given = cortex_mat.Settings.model_validate(options)
    return cortex_mat.read(sorted(folder.iterdir()), given)


MERGED = {"signal": "signal_2mice_raw"}


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_merged_files_are_read_as_written(version, tmp_path):
    made = save(tmp_path, version)
    for mouse, session in ((1, 0), (2, 0), (2, 1)):
        tree = read_mat(tmp_path, mouse=mouse, session=session, violet="signal_2mice_405", rate_hz=20, **MERGED)
        schema.check(tree, "session")
        assert (tree["imaging/signal"].chunks is not None) == (version == "7.3")  # left in the file
        np.testing.assert_array_equal(tree["imaging/signal"].values, made[mouse][session].T)
        np.testing.assert_array_equal(tree["imaging/signal_405"].values, -made[mouse][session].T)
        np.testing.assert_array_equal(tree["behaviour/run"].values, runs(mouse)[session][0])
        np.testing.assert_array_equal(tree["behaviour/speed"].values, 3.0 * runs(mouse)[session][0])
        assert tree["behaviour/run"].dtype == np.uint8
        assert tree["behaviour"].attrs == tree["imaging"].attrs == {"rate_hz": 20.0, "start_s": 0.0}
    roi = tree["imaging"].sel(roi="31")
    assert (roi["row"].item(), roi["column"].item(), roi["area"].item()) == (0.44, 0.87, "FLa&HLa")
    assert tree["imaging"].coords["area"].values[4] == ""


def test_only_files_that_are_used_are_selected(tmp_path):
    save(tmp_path, speed=False)
    files = sorted(tmp_path.iterdir())
    given = cortex_mat.Settings.model_validate(MERGED)
    assert [path.stem for path in cortex_mat.select(files, given)] == ["runrest_2mice", "signal_2mice_raw"]
    assert "speed" not in cortex_mat.read(files, given)["behaviour"]
    with pytest.raises(MissingError, match=r"signal_5mice_raw\.mat"):
        cortex_mat.select(files, cortex_mat.Settings())


def test_published_table_of_rois():
    rois = cortex_mat.ROIS
    assert list(rois) == list(range(1, 51))
    for left in range(1, 26):  # read off an image to a hundredth, twice
        (row, column, area), (other_row, other_column, other_area) = rois[left], rois[left + 25]
        assert (row, area) == (other_row, other_area)
        assert column + other_column == pytest.approx(1, abs=0.021)
    sizes = {area: sum(found == area for _, _, found in rois.values()) for _, _, area in rois.values()}
    assert sizes == {"M2&M1": 8, "FLa&HLa": 4, "FL&HL": 4, "PT&RS": 8, "V1&Vm": 8, "Vl&A1": 8, "": 10}
    assert [roi for roi, (_, _, area) in rois.items() if area == "FLa&HLa"] == [6, 8, 31, 33]


def test_places_of_another_number_of_rois_are_unknown(tmp_path):
    save(tmp_path, rows=7)
    coords = read_mat(tmp_path, **MERGED)["imaging"].coords
    assert coords["roi"].values.tolist() == list("1234567")
    assert np.isnan(coords["row"]).all()
    assert np.isnan(coords["column"]).all()
    assert set(coords["area"].values) == {""}


@pytest.mark.parametrize("speed", [True, False])
def test_files_of_one_session(speed, tmp_path):
    signal, run = signals()[1][0], runs(1)[0]
    for name in ("mouse_1", "mouse_10"):
        behaviour = {"runrest": run.astype(float)} | ({"speed_rs": 2.0 * run} if speed else {})
        matfile.write(tmp_path / f"{name}_behavior.mat", behaviour)
        matfile.write(tmp_path / f"{name}_roi.mat", {"dat_roi": signal})
    tree = read_mat(tmp_path, id="mouse_1")
    np.testing.assert_array_equal(tree["imaging/signal"].values, signal.T)
    np.testing.assert_array_equal(tree["behaviour/run"].values, run[0])
    assert ("speed" in tree["behaviour"]) == speed
    with pytest.raises(ConfigError, match="either `id` or mouse"):
        config.parse(readers.settings("cortex_mat"), {"id": "mouse_1", "mouse": 2}, "options")


@pytest.mark.parametrize("options", [{"mouse": 3}, {"session": 2}])
def test_a_session_that_is_not_there(options, tmp_path):
    save(tmp_path)
    with pytest.raises(DataError, match="signal1"):
        read_mat(tmp_path, **options, **MERGED)


def test_behaviour_that_does_not_fit_is_refused(tmp_path):
    save(tmp_path)
    cortex_mat.write(
        tmp_path / "runrest_2mice.mat", "runrest", 2, lambda mouse: [np.ones((1, 39)), np.full((1, 33), 2)]
    )
    with pytest.raises(DataError, match="40 frames"):
        read_mat(tmp_path, **MERGED)
    with pytest.raises(DataError, match=r"0 \(rest\) or 1"):
        read_mat(tmp_path, session=1, **MERGED)
    matfile.write(tmp_path / "runrest_3mice.mat", {"runrest1": [runs(1)[0]]})
    with pytest.raises(DataError, match="one file for run"):
        read_mat(tmp_path, **MERGED)


@pytest.mark.parametrize("stem", ["signal_2mice_raw", "runrest_2mice", "speed_2mice"])
@pytest.mark.parametrize("version", ["5", "7.3"])
def test_truncated_matlab_file_is_one_error(version, stem, tmp_path):
    save(tmp_path, version)
    path = tmp_path / f"{stem}.mat"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=path.name):
        read_mat(tmp_path, **MERGED)


def test_merged_file_is_written_mouse_by_mouse(tmp_path):
    alive = []

    def sessions(mouse):
        assert all(reference() is None for reference in alive[: mouse - 2])  # only the mouse before is still held
        made = [np.full((3, 5), mouse, np.float32)]
        alive.extend(map(weakref.ref, made))
        return made

    for name in ("a.mat", "b.mat"):
        alive.clear()
        cortex_mat.write(tmp_path / name, "signal", 4, sessions)
        assert len(alive) == 4
    assert (tmp_path / "a.mat").read_bytes() == (tmp_path / "b.mat").read_bytes()
