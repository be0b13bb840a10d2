"""Fetching against a server on this machine: resumed, verified, from a mirror, sets, and refused without leftovers."""

import hashlib
import logging
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from pellucid import config, public, store
from pellucid.errors import ConfigError, DataError, FetchError, StorageError
from pellucid.readers import image_set
from pellucid.stages import fetch as stage
from pellucid.stages.convert import convert

CONTENT = np.random.default_rng(0).integers(0, 256, 1_500_000, dtype=np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at any path but /missing and those of `pages`; how badly is set by the test."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.pages: dict[str, bytes] = {}
        self.cut_after: list[int] = []  # bytes after which the next connections break off
        self.statuses: list[int] = []  # answers of the next connections before any content
        self.ranges, self.length = True, True
        self.served, self.requests = 0, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/data.bin"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        server = self.server
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        server.requests.append(self.headers.get("Range"))
        if self.path == "/missing" or server.statuses:
            return self.send_error(server.statuses.pop(0) if server.statuses else 404)
        content = server.pages.get(self.path, server.content)
        start = int(asked[1]) if asked and server.ranges else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            return self.end_headers()
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        body = body[: server.cut_after.pop(0)] if server.cut_after else body
        self.wfile.write(body)
        server.served += len(body)
        return None


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv(stage.MIRROR, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(stage, "BACKOFF_S", 0.001)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def block(url, sha256=SHA256, **more):
    return {"files": {"data.bin": {"url": url, "sha256": sha256, **more}}, "licence": "CC0", "citation": "a test"}


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_folder_holds_files_and_manifest(server, tmp_path):
    stage.fetch(block(server.url), tmp_path / "raw" / "x")
    assert (tmp_path / "raw/x/data.bin").read_bytes() == CONTENT
    assert store.read_json(tmp_path / "raw/x/manifest.json") == {
        "data.bin": {"bytes": len(CONTENT), "sha256": SHA256, "url": server.url}
    }
    assert names(tmp_path / "raw") == ["x"]  # nothing kept once it is whole


def test_cut_connections_are_resumed_within_one_run(server, tmp_path):
    server.cut_after = [600_000, 10, 300_000]
    stage.fetch(block(server.url), tmp_path / "x")
    assert (tmp_path / "x/data.bin").read_bytes() == CONTENT
    assert server.served == len(CONTENT)  # no byte twice
    assert server.requests == [None, "bytes=600000-", "bytes=600010-", "bytes=900010-"]


def test_what_a_failed_run_kept_is_used_by_the_next(server, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "ATTEMPTS", 1)
    server.cut_after = [700_000]
    with pytest.raises(FetchError, match="resumes"):
        stage.fetch(block(server.url), tmp_path / "x")
    assert names(tmp_path) == [".x.download"]
    stage.fetch(block(server.url), tmp_path / "x")
    assert (tmp_path / "x/data.bin").read_bytes() == CONTENT
    assert server.served == len(CONTENT)
    assert names(tmp_path) == ["x"]


def test_files_that_arrived_survive_the_failure_of_another(server, tmp_path):
    both = block(server.url)
    both["files"]["second.bin"] = {"url": server.url.replace("data.bin", "missing"), "sha256": "0" * 64}
    with pytest.raises(FetchError, match="404"):
        stage.fetch(both, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    served = server.served
    both["files"]["second.bin"] = {"url": server.url, "sha256": SHA256}
    stage.fetch(both, tmp_path / "x")
    assert names(tmp_path / "x") == ["data.bin", "manifest.json", "second.bin"]
    assert server.served == served


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.ranges, server.cut_after = False, [500_000]
    stage.fetch(block(server.url), tmp_path / "x")
    assert (tmp_path / "x/data.bin").read_bytes() == CONTENT


def test_a_server_that_does_not_say_the_length(server, tmp_path):
    server.length = False
    stage.fetch(block(server.url), tmp_path / "x")
    assert (tmp_path / "x/data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("kept", [CONTENT, CONTENT + b"more"], ids=["whole", "too-long"])
def test_a_kept_part_that_needs_nothing_more(kept, server, tmp_path):
    (tmp_path / ".x.download").mkdir()
    (tmp_path / f".x.download/{SHA256}.part").write_bytes(kept)
    stage.fetch(block(server.url), tmp_path / "x")
    assert (tmp_path / "x/data.bin").read_bytes() == CONTENT


def test_a_kept_part_of_another_file_is_downloaded_anew(server, tmp_path, caplog):
    (tmp_path / ".x.download").mkdir()
    (tmp_path / f".x.download/{SHA256}.part").write_bytes(b"wrong" * 1000)
    stage.fetch(block(server.url), tmp_path / "x")
    assert (tmp_path / "x/data.bin").read_bytes() == CONTENT
    assert "anew" in caplog.text


def test_busy_servers_are_asked_again(server, tmp_path):
    server.statuses = [503, 429]
    stage.fetch(block(server.url), tmp_path / "x")
    assert len(server.requests) == 3


def test_a_server_that_stays_busy_is_given_up(server, tmp_path):
    server.statuses = [503] * 50
    with pytest.raises(FetchError, match="503"):
        stage.fetch(block(server.url), tmp_path / "x")
    assert len(server.requests) == stage.ATTEMPTS


def test_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(FetchError) as caught:
        stage.fetch(block(server.url, "0" * 64), tmp_path / "x")
    for words in (server.url, "0" * 64, "another checksum", stage.MIRROR):
        assert words in str(caught.value)
    assert not (tmp_path / "x").exists()
    assert names(tmp_path / ".x.download") == []


def test_missing_file_says_how_to_place_it_by_hand(server, tmp_path):
    url = server.url.replace("data.bin", "missing")
    with pytest.raises(FetchError) as caught:
        stage.fetch(block(url, mirror="lab/data.bin"), tmp_path / "x")
    for words in (url, SHA256, "404", "lab/data.bin", stage.MIRROR):
        assert words in str(caught.value)
    assert len(server.requests) == 1  # no use in asking again
    assert names(tmp_path) == []


def test_no_network(server, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(FetchError, match="refused"):
        stage.fetch(block(f"http://127.0.0.1:{port}/x"), tmp_path / "x")
    assert names(tmp_path) == []


@pytest.mark.parametrize("more", [{}, {"mirror": "lab/other.bin"}], ids=["by-name", "by-path"])
def test_mirror_is_looked_in_first(more, server, tmp_path, monkeypatch):
    place = tmp_path / "mirror" / more.get("mirror", "data.bin")
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    monkeypatch.setenv(stage.MIRROR, str(tmp_path / "mirror"))
    stage.fetch(block(server.url, **more), tmp_path / "x")
    assert server.requests == []
    assert (tmp_path / "x/data.bin").read_bytes() == CONTENT
    assert store.read_json(tmp_path / "x/manifest.json")["data.bin"]["url"] == server.url
    assert place.is_file()


def test_mirror_and_server_give_equal_folders(server, tmp_path, monkeypatch):
    stage.fetch(block(server.url), tmp_path / "a")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/data.bin").write_bytes(CONTENT)
    monkeypatch.setenv(stage.MIRROR, str(tmp_path / "mirror"))
    stage.fetch(block(server.url), tmp_path / "b")
    assert store.digest(tmp_path / "a") == store.digest(tmp_path / "b")


def test_wrong_file_in_the_mirror_is_said_and_not_used(server, tmp_path, monkeypatch, caplog):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/data.bin").write_bytes(b"old version")
    monkeypatch.setenv(stage.MIRROR, str(tmp_path / "mirror"))
    with caplog.at_level(logging.WARNING):
        stage.fetch(block(server.url), tmp_path / "x")
    assert (tmp_path / "x/data.bin").read_bytes() == CONTENT
    assert "not used" in caplog.text


@pytest.mark.parametrize("name", ["../x", "/x", "manifest.json"])
def test_names_stay_below_the_folder(name, server, tmp_path):
    wrong = block(server.url)
    wrong["files"][name] = wrong["files"].pop("data.bin")
    with pytest.raises(ConfigError):
        stage.fetch(wrong, tmp_path / "x")


def test_full_disk_is_no_fault_of_the_network(server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage._Downloader, "_receive", full)
    with pytest.raises(StorageError, match="No space left"):
        stage.fetch(block(server.url), tmp_path / "x")
    assert len(server.requests) == 1


# ---- checksums that nobody knows yet ----


def test_without_a_checksum_the_first_download_is_noted_and_said(server, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        stage.fetch(block(server.url, None), tmp_path / "x")
    assert store.read_json(tmp_path / "x/manifest.json")["data.bin"]["sha256"] == SHA256
    assert f"sha256: {SHA256}" in caplog.text
    assert "fetch.x.files.data.bin" in caplog.text
    assert names(tmp_path) == ["x"]
    stage.fetch(block(server.url, SHA256), tmp_path / "y")
    assert store.digest(tmp_path / "x") == store.digest(tmp_path / "y")


def test_without_a_checksum_a_cut_download_is_resumed_by_the_next_run(server, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "ATTEMPTS", 1)
    server.cut_after = [700_000]
    with pytest.raises(FetchError, match="resumes"):
        stage.fetch(block(server.url, None), tmp_path / "x")
    stage.fetch(block(server.url, None), tmp_path / "x")
    assert (tmp_path / "x/data.bin").read_bytes() == CONTENT
    assert server.served == len(CONTENT)


def test_without_a_checksum_nothing_comes_from_the_mirror(server, tmp_path, monkeypatch, caplog):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/data.bin").write_bytes(b"anything")
    monkeypatch.setenv(stage.MIRROR, str(tmp_path / "mirror"))
    stage.fetch(block(server.url, None), tmp_path / "x")
    assert (tmp_path / "x/data.bin").read_bytes() == CONTENT
    assert "not used" in caplog.text


def test_a_checksum_must_be_given_or_denied(server, tmp_path):
    wrong = block(server.url)
    del wrong["files"]["data.bin"]["sha256"]
    with pytest.raises(ConfigError, match="sha256"):
        stage.fetch(wrong, tmp_path / "x")


# ---- sets of numbered files ----


@pytest.fixture
def pictures(server, tmp_path):
    """Eleven PNG files and the responses on the server, and both beside a packed form in a folder."""
    generator = np.random.default_rng(3)
    images = (generator.random((11, 5, 8)) < 0.4).astype(np.uint8)
    responses = {"neu75": generator.normal(size=(11, 1))}
    image_set.write(tmp_path / "made", 255 * images, responses, name="pattern", packed=False)
    image_set.write(tmp_path / "mirror/v1", images, responses, name="patterns_all", packed=True)
    for path in (tmp_path / "made/pattern").iterdir():
        server.pages[f"/pattern/{path.name}"] = path.read_bytes()
    server.pages["/neu75.npy"] = (tmp_path / "made/neu75.npy").read_bytes()
    return tmp_path / "made/pattern"


def manifest_digest(folder):
    """As the configuration documents it, in the order of `LC_ALL=C sort`."""
    lines = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in folder.iterdir()]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def numbered(server, pictures, **changes):
    packed = pictures.parents[1] / "mirror/v1/patterns_all.npz"
    files = {
        "pattern": {
            "url": server.url.replace("data.bin", "pattern/{number}.png"),
            **{"first": 1, "last": 11, "sha256": manifest_digest(pictures)},
            "packed": {"mirror": "v1/patterns_all.npz", "sha256": store.file_digest(packed)},
            **changes,
        },
        "neu75.npy": {
            "url": server.url.replace("data.bin", "neu75.npy"),
            "sha256": hashlib.sha256(server.pages["/neu75.npy"]).hexdigest(),
        },
    }
    return {"files": files, "licence": "none stated", "citation": "a test"}


def test_a_set_becomes_a_folder(server, pictures, tmp_path):
    stage.fetch(numbered(server, pictures), tmp_path / "raw" / "x")
    assert names(tmp_path / "raw") == ["x"]
    assert names(tmp_path / "raw/x") == ["manifest.json", "neu75.npy", "pattern"]
    for path in pictures.iterdir():
        assert (tmp_path / "raw/x/pattern" / path.name).read_bytes() == path.read_bytes()
    noted = store.read_json(tmp_path / "raw/x/manifest.json")
    assert len(noted) == 12
    assert noted["pattern/10.png"] == {
        "bytes": (pictures / "10.png").stat().st_size,
        "sha256": store.file_digest(pictures / "10.png"),
        "url": server.url.replace("data.bin", "pattern/10.png"),
    }


def test_download_and_packed_file_give_equal_stores(server, pictures, tmp_path, monkeypatch):
    settings = numbered(server, pictures)
    stage.fetch(settings, tmp_path / "data/raw/x")
    asked = len(server.requests)
    monkeypatch.setenv(stage.MIRROR, str(tmp_path / "mirror"))
    stage.fetch(settings, tmp_path / "data/raw/y")
    assert len(server.requests) == asked + 1  # the responses only
    assert names(tmp_path / "data/raw/y") == ["manifest.json", "neu75.npy", "pattern.npz"]
    options = {"images": "pattern", "binary": True}
    for name in ("x", "y"):
        recording = {"dataset": "d", "subject": "s", "raw": f"data/raw/{name}", "reader": "image_set"}
        folder = tmp_path / "data/raw" / name
        convert("v1", {**recording, "options": options}, [folder], tmp_path / f"{name}.zarr")
    assert store.content_digest(tmp_path / "x.zarr") == store.content_digest(tmp_path / "y.zarr")
    first, second = (store.open_store(tmp_path / f"{name}.zarr").load() for name in ("x", "y"))
    assert first["stimulus"].identical(second["stimulus"])
    assert first["responses"].identical(second["responses"])


def test_convert_refuses_an_edited_file_of_a_set(server, pictures, tmp_path):
    folder = tmp_path / "data/raw/x"
    stage.fetch(numbered(server, pictures, sha256=None), folder)
    (folder / "pattern/3.png").write_bytes((folder / "pattern/4.png").read_bytes())
    block = {"dataset": "d", "subject": "s", "raw": "data/raw/x", "reader": "image_set"}
    with pytest.raises(DataError, match=r"3\.png"):
        convert("v1", {**block, "options": {"images": "pattern"}}, [folder], tmp_path / "x.zarr")


def test_another_manifest_digest_leaves_nothing(server, pictures, tmp_path):
    with pytest.raises(FetchError) as caught:
        stage.fetch(numbered(server, pictures, sha256="0" * 64), tmp_path / "raw/x")
    for words in ("pattern/{number}.png", "0" * 64, manifest_digest(pictures), "fetch.x.files.pattern"):
        assert words in str(caught.value)
    assert names(tmp_path / "raw") == []


def test_a_set_without_a_digest_is_noted(server, pictures, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        stage.fetch(numbered(server, pictures, sha256=None), tmp_path / "x")
    assert f"sha256: {manifest_digest(pictures)}" in caplog.text
    stage.fetch(numbered(server, pictures), tmp_path / "y")
    assert store.digest(tmp_path / "x") == store.digest(tmp_path / "y")


def test_a_broken_set_is_resumed_file_by_file(server, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "ATTEMPTS", 1)
    server.cut_after = [10**6] * 4 + [30]  # the fifth file breaks off
    with pytest.raises(FetchError, match="resumes") as caught:
        stage.fetch(numbered(server, pictures), tmp_path / "raw/x")
    assert "v1/patterns_all.npz" in str(caught.value)
    assert names(tmp_path / "raw") == [".x.download"]
    stage.fetch(numbered(server, pictures), tmp_path / "raw/x")
    assert manifest_digest(tmp_path / "raw/x/pattern") == manifest_digest(pictures)
    assert server.served == sum(len(page) for page in server.pages.values())  # no byte twice
    assert names(tmp_path / "raw") == ["x"]


def test_a_shorter_range_forgets_what_was_kept(server, pictures, tmp_path):
    wrong = numbered(server, pictures, sha256=None)
    wrong["files"]["neu75.npy"]["url"] = server.url.replace("data.bin", "missing")
    with pytest.raises(FetchError, match="404"):
        stage.fetch(wrong, tmp_path / "x")
    stage.fetch(numbered(server, pictures, sha256=None, last=9), tmp_path / "x")
    assert len(names(tmp_path / "x/pattern")) == 9


def test_a_missing_file_of_a_set(server, pictures, tmp_path):
    settings = numbered(server, pictures)
    settings["files"]["pattern"]["url"] = server.url.replace("data.bin", "missing?{number}")
    server.statuses = [404]
    with pytest.raises(FetchError, match="404"):
        stage.fetch(settings, tmp_path / "raw/x")
    assert names(tmp_path / "raw") == []


def test_a_packed_file_with_another_checksum_is_said_and_not_used(server, pictures, tmp_path, monkeypatch, caplog):
    settings = numbered(server, pictures)
    (tmp_path / "mirror/v1/patterns_all.npz").write_bytes(b"old version")
    monkeypatch.setenv(stage.MIRROR, str(tmp_path / "mirror"))
    stage.fetch(settings, tmp_path / "x")
    assert len(names(tmp_path / "x/pattern")) == 11
    assert "not used" in caplog.text


def test_a_packed_file_that_is_not_named_is_not_used(server, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv(stage.MIRROR, str(tmp_path / "mirror/v1"))
    stage.fetch(numbered(server, pictures, packed=None), tmp_path / "x")
    assert len(names(tmp_path / "x/pattern")) == 11


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "https://x.org/{number}/image.png"}, "url"),
        ({"url": "https://x.org/image.png"}, "url"),
        ({"last": 0}, "`last`"),
        ({"packed": {"mirror": "a.npz", "sha256": None}}, r"packed\.sha256"),
        ({"packd": None}, "Did you mean 'packed'"),
    ],
)
def test_wrong_descriptions_of_a_set(changes, words, server, pictures):
    with pytest.raises(ConfigError, match=words):
        config.parse(public.Fetch, numbered(server, pictures, **changes), "fetch.x")


def test_two_entries_may_not_make_one_file(server, pictures, tmp_path):
    settings = numbered(server, pictures)
    settings["files"]["pattern/4.png"] = settings["files"]["neu75.npy"]
    with pytest.raises(ConfigError, match=r"pattern/4\.png"):
        stage.fetch(settings, tmp_path / "x")
