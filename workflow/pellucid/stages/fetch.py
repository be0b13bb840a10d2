"""Public files by checksum: from a mirror folder if it has them, else downloaded, resumed, retried and verified."""

import errno
import hashlib
import http.client
import logging
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pellucid.errors import ConfigError, FetchError, StorageError

if TYPE_CHECKING:
    from pellucid.public import File, Numbered

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
    from pellucid import config, public, store

    where = f"fetch.{output.name}"
    block = config.parse(public.Fetch, params, where)
    kept = output.with_name(f".{output.name}.download")
    found: dict[str, _Found] = {}
    try:
        for name, entry in block.files.items():
            key = f"{where}.files.{name}"
            _check_name(name, key)
            made = (_numbered if isinstance(entry, public.Numbered) else _single)(name, entry, kept, key)
            for twice in sorted(set(found) & set(made)):
                raise ConfigError(key, expected="no name used before", found=twice, remedy="Choose another name.")
            found |= made
    finally:
        if kept.is_dir() and not any(kept.iterdir()):
            kept.rmdir()
    uses = Counter(file.path for file in found.values())
    with store.atomic_folder(output) as partial:
        manifest: dict[str, dict[str, str | int]] = {}
        for name, file in found.items():
            uses[file.path] -= 1
            _place(file.path, partial / name, move=kept in file.path.parents and not uses[file.path])
            size = (partial / name).stat().st_size
            manifest[name] = {"bytes": size, "sha256": file.sha256, "url": file.url}
        store.write_json(partial / "manifest.json", manifest)
    shutil.rmtree(kept, ignore_errors=True)


@dataclass(frozen=True)
class _Found:
    """A verified file: where it lies, its sha256 and its public address."""

    path: Path
    sha256: str
    url: str


def _check_name(name: str, where: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name == "manifest.json":
        raise ConfigError(
            where, expected="a file name below the folder", found=repr(name), remedy="Choose another name."
        )


def _single(name: str, file: "File", kept: Path, where: str) -> dict[str, _Found]:
    """Return one file, from the mirror or downloaded."""
    from pellucid import store

    path = _in_mirror((file.mirror, name), file.sha256, file.url) or _download(name, file, kept)
    digest = file.sha256 or store.file_digest(path)
    if file.sha256 is None:
        _note(where, digest, file.url)
    return {name: _Found(path, digest, file.url)}


def _numbered(name: str, files: "Numbered", kept: Path, where: str) -> dict[str, _Found]:
    """Return a set of files as NAME/FILE, or the one of the mirror that holds them, as NAME with its ending."""
    from pellucid import store

    packed = files.packed
    path = _in_mirror((packed.mirror,), packed.sha256, files.url) if packed else None
    if packed and path:
        return {f"{name}{path.suffix}": _Found(path, packed.sha256, files.url)}
    folder = kept / _named(files.url)
    _download_all(name, files, folder)
    digest = store.digest(folder)  # of the lines `NAME SHA256\n`
    if files.sha256 is None:
        _note(where, digest, files.url)
    elif digest != files.sha256:
        shutil.rmtree(folder)
        raise FetchError(
            files.url,
            expected=f"files {files.first} to {files.last} with sha256 {files.sha256} of their names and checksums",
            found=digest,
            remedy=f"Check `url` and `sha256` in {where}, or the server; the downloads are deleted.",
        )
    return {
        f"{name}/{file}": _Found(folder / file, store.file_digest(folder / file), url)
        for file, url in files.urls.items()
    }


def _note(where: str, digest: str, url: str) -> None:
    _log.warning("%s: no checksum was known; put this line there to have %s verified: sha256: %s", where, url, digest)


def _in_mirror(places: Sequence[str | None], sha256: str | None, url: str) -> Path | None:
    """Return a place in the mirror with a file of this checksum; a wrong one is said, and without any none is taken."""
    from pellucid import store

    folder = os.environ.get(MIRROR)
    for place in filter(None, places) if folder else ():
        path = Path(str(folder), place)
        if path.is_file():
            digest = store.file_digest(path)
            if digest == sha256:
                return path
            why = f"not {sha256}" if sha256 else "and the configuration has none to compare"
            _log.warning("%s has sha256 %s, %s: it is not used, %s is", path, digest, why, url)
    return None


def _place(source: Path, target: Path, *, move: bool) -> None:
    """Put a verified file where it belongs; files of the mirror are copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if move:
        os.replace(source, target)
    else:
        shutil.copyfile(source, target)


def _download(name: str, file: "File", kept: Path) -> Path:
    """Return the verified download of a file; it is named by checksum or address, so that any later run finds it."""
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    known = file.sha256 or _named(file.url)
    downloader = _Downloader(name, kept / f"{known}.part")
    options = {"known_hash": file.sha256 and f"sha256:{file.sha256}", "fname": known, "path": kept}
    saved = f"; or download the file by hand, save it as FOLDER/{file.mirror or name} for any FOLDER, and set "
    by_hand = f"{saved}{MIRROR}=FOLDER" if file.sha256 else ""
    with _told(file.url, kept, f"a file with sha256 {file.sha256 or 'of any value'}", by_hand):
        try:
            return Path(pooch.retrieve(file.url, downloader=downloader, **options))
        except ValueError:
            if not downloader.resumed:
                raise
        _log.warning("%s: the resumed file has another checksum, so it is downloaded anew", file.url)
        return Path(pooch.retrieve(file.url, downloader=downloader, **options))


def _download_all(name: str, files: "Numbered", folder: Path) -> None:
    """Download what a folder lacks of a set, one after the other; finished files stay for the next run."""
    from tqdm import tqdm

    urls = files.urls
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name.removesuffix(".part") not in urls:  # of a range that has changed
            path.unlink()
    packed = f"; or set {MIRROR} to a folder that holds {files.packed.mirror}" if files.packed else ""
    try:
        for file, url in tqdm(urls.items(), desc=name, unit="file", disable=None):
            if not (folder / file).is_file():
                with _told(url, folder, f"one of {len(urls)} files", packed):
                    _Downloader(None, folder / f"{file}.part")(url, str(folder / file), None)
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def _named(url: str) -> str:
    """Return the name under which downloads from an address are kept while no checksum is known."""
    return f"url-{hashlib.sha256(url.encode()).hexdigest()}"


@contextmanager
def _told(url: str, kept: Path, expected: str, otherwise: str) -> Iterator[None]:
    """Turn what a download raises into one message; `otherwise` says how to do without it."""
    remedy = f"Run the same command again, which resumes{otherwise}."
    try:
        yield
    except ValueError:
        raise FetchError(url, expected=expected, found="a file with another checksum", remedy=remedy) from None
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in _DISK:
            raise StorageError(
                str(kept), expected="to be able to write it", found=str(error), remedy="Free space, then run it again."
            ) from error
        said = error.reason if type(error) is urllib.error.URLError else error
        raise FetchError(url, expected=expected, found=str(said) or repr(said), remedy=remedy) from error


class _Downloader:
    """A downloader for pooch, with a bar if named, that keeps what it has on failure and asks for the rest later."""

    def __init__(self, name: str | None, partial: Path) -> None:
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

        hidden = True if self._name is None else None
        self._partial.parent.mkdir(parents=True, exist_ok=True)
        with (
            self._partial.open("ab" if start else "wb") as file,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=self._name, disable=hidden) as bar,
        ):
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
        return total is None or self._size() == total
