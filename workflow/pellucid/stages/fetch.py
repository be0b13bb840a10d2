"""Public files by checksum: from a mirror folder if it has them, else downloaded, resumed, retried and verified."""

import errno
import http.client
import logging
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pellucid.errors import ConfigError, FetchError, StorageError

if TYPE_CHECKING:
    from pellucid.config import File

MIRROR = "PELLUCID_DATA"
"""Environment variable that names a folder of files fetched before."""

ATTEMPTS = 5
"""Connections in a row that may bring nothing before we give up."""

BACKOFF_S = 1.0
"""Wait before the second attempt, doubled before each further one."""

TIMEOUT_S = 60.0
_BLOCK = 1 << 18
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
_WORTH_RETRYING = {408, 425, 429, 500, 502, 503, 504}

_log = logging.getLogger(__name__)


def fetch(params: Mapping[str, Any], output: Path) -> None:
    """Fetch a set of files into one folder, all of them or none, with a manifest of their checksums.

    params  a block of `fetch`: files, licence, citation
    output  the folder; what was downloaded before a failure is kept beside it and used by the next run
    Raises FetchError, saying how to place a file by hand.
    """
    from pellucid import config, store

    where = f"fetch.{output.name}"
    block = config.parse(config.Fetch, params, where)
    kept = output.with_name(f".{output.name}.download")
    found: dict[str, Path] = {}
    try:
        for name, file in block.files.items():
            _check_name(name, f"{where}.files.{name}")
            found[name] = _in_mirror(name, file) or _download(name, file, kept)
    finally:
        if kept.is_dir() and not any(kept.iterdir()):
            kept.rmdir()
    with store.atomic_folder(output) as partial:
        manifest: dict[str, dict[str, str | int]] = {}
        while found:
            name, path = found.popitem()
            _place(path, partial / name, move=path.parent == kept and path not in found.values())
            size = (partial / name).stat().st_size
            manifest[name] = {"bytes": size, "sha256": block.files[name].sha256, "url": block.files[name].url}
        store.write_json(partial / "manifest.json", manifest)
    shutil.rmtree(kept, ignore_errors=True)


def _check_name(name: str, where: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name == "manifest.json":
        raise ConfigError(
            where, expected="a file name below the folder", found=repr(name), remedy="Choose another name."
        )


def _in_mirror(name: str, file: "File") -> Path | None:
    """Return the file's place in the mirror if it is there with the right checksum; a wrong one is said."""
    from pellucid import store

    folder = os.environ.get(MIRROR)
    for place in filter(None, (file.mirror, name)) if folder else ():
        path = Path(str(folder), place)
        if path.is_file():
            digest = store.file_digest(path)
            if digest == file.sha256:
                return path
            _log.warning("%s has sha256 %s, not %s: it is not used, %s is", path, digest, file.sha256, file.url)
    return None


def _place(source: Path, target: Path, *, move: bool) -> None:
    """Put a verified file where it belongs; files of the mirror are copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if move:
        os.replace(source, target)
    else:
        shutil.copyfile(source, target)


def _download(name: str, file: "File", kept: Path) -> Path:
    """Return the verified download of a file; it is named by its checksum, so that any later run finds it."""
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    downloader = _Downloader(name, kept / f"{file.sha256}.part")
    options = {"known_hash": f"sha256:{file.sha256}", "fname": file.sha256, "path": kept, "downloader": downloader}
    try:
        try:
            return Path(pooch.retrieve(file.url, **options))
        except ValueError:
            if not downloader.resumed:
                raise
        _log.warning("%s: the resumed file has another checksum, so it is downloaded anew", file.url)
        return Path(pooch.retrieve(file.url, **options))
    except ValueError:
        raise _failed(name, file, "a file with another checksum") from None
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in _DISK:
            raise StorageError(
                str(kept), expected="to be able to write it", found=str(error), remedy="Free space, then run it again."
            ) from error
        said = error.reason if type(error) is urllib.error.URLError else error
        raise _failed(name, file, str(said) or repr(said)) from error


def _failed(name: str, file: "File", found: str) -> FetchError:
    return FetchError(
        file.url,
        expected=f"a file with sha256 {file.sha256}",
        found=found,
        remedy="Run the same command again, which resumes; or download the file by hand, save it as "
        f"FOLDER/{file.mirror or name} for any FOLDER, and set {MIRROR}=FOLDER.",
    )


class _Downloader:
    """A downloader for pooch that keeps what it has on failure and asks for the rest the next time."""

    def __init__(self, name: str, partial: Path) -> None:
        self._name, self._partial = name, partial
        self.resumed = False

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        """Download a URL. Raises OSError or HTTPException when no attempt brings anything."""
        failures, self.resumed = 0, self._size() > 0
        while True:
            before = self._size()
            try:
                if self._attempt(url):
                    os.replace(self._partial, output_file)
                    return
                error: Exception = ConnectionError("the connection was closed before the end of the file")
            except (OSError, http.client.HTTPException) as broken:
                if isinstance(broken, urllib.error.HTTPError):
                    broken.close()
                    if broken.code not in _WORTH_RETRYING:
                        raise
                elif getattr(broken, "errno", None) in _DISK:
                    raise
                error = broken
            failures = 1 if self._size() > before else failures + 1
            self.resumed = self.resumed or self._size() > 0
            if failures >= ATTEMPTS:
                raise error
            _log.info("%s: %s; attempt %d follows", url, error, failures + 1)
            time.sleep(BACKOFF_S * 2 ** (failures - 1))

    def _size(self) -> int:
        return self._partial.stat().st_size if self._partial.is_file() else 0

    def _attempt(self, url: str) -> bool:
        """Ask for what is missing; return whether the file is then complete."""
        have = self._size()
        headers = {"User-Agent": "pellucid", "Accept-Encoding": "identity"} | (
            {"Range": f"bytes={have}-"} if have else {}
        )
        try:
            response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
        except urllib.error.HTTPError as refused:
            if refused.code != 416 or not have:
                raise
            refused.close()
            total = re.fullmatch(r"bytes \*/(\d+)", refused.headers.get("Content-Range", ""))
            if total and int(total[1]) == have:
                return True
            self._partial.unlink()
            return False
        with response:
            continued = response.status == 206 and response.headers.get("Content-Range", "").startswith(
                f"bytes {have}-"
            )
            length = response.headers.get("Content-Length")
            start = have if continued else 0
            return self._receive(response, start, None if length is None else start + int(length))

    def _receive(self, response: http.client.HTTPResponse, start: int, total: int | None) -> bool:
        """Append what comes, from byte `start` of the file on."""
        from tqdm import tqdm

        self._partial.parent.mkdir(parents=True, exist_ok=True)
        with (
            self._partial.open("ab" if start else "wb") as file,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=self._name, disable=None) as bar,
        ):
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
        return total is None or self._size() == total
