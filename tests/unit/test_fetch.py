"""Fetching against a server on this machine: resumed, verified, from a mirror, and refused without leftovers."""

import hashlib
import logging
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from pellucid import store
from pellucid.errors import ConfigError, FetchError, StorageError
from pellucid.stages import fetch as stage

CONTENT = np.random.default_rng(0).integers(0, 256, 1_500_000, dtype=np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at any path but /missing; how badly is set by the test."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
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
        start = int(asked[1]) if asked and server.ranges else 0
        if start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            return self.end_headers()
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
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
