"""Download the released adapter from the hub: it resumes, is verified, and gets its name only when it is whole.

``huggingface_hub`` finds the file: it knows the server (``HF_ENDPOINT``), the token, offline mode, and what the hub
says of the file. In some versions its own downloads keep no partial file, and in others they go through a library that
cannot be interrupted; so the bytes come through ``requests``, the same way in every version.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, DownloadError
from ..progress import ByteProgress
from ..weights.atomic import write_whole
from ..weights.lock import alone_at
from .keys import ADAPTER_ADDRESS, ADAPTER_FILE

if TYPE_CHECKING:
    import requests

    from .adapter import RelationAdapter

REPOSITORY = ADAPTER_ADDRESS.removeprefix("https://huggingface.co/")

_CHUNK_BYTES = 1 << 18
"""A slow connection delivers this much in a second or two. The user can interrupt only between chunks."""
_CHECKED_BYTES = 16 << 20
_BUSY = (408, 429, 500, 502, 503, 504)
_BUSY_TRIES = 4
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Release:
    """The file at one commit of its repository, as the hub describes it."""

    revision: str
    url: str
    size: int
    sha256: str
    headers: Mapping[str, str]


def download_adapter(folder: Path, progress: ByteProgress) -> RelationAdapter:
    """Open the released adapter in ``folder``; if it is not there, download it first.

    Raises:
        DownloadError: as :func:`fetch_adapter`.
        BusyError: likewise.
        CheckpointError: as :func:`open_downloaded`.
    """
    return open_downloaded(fetch_adapter(folder, progress))


def fetch_adapter(folder: Path, progress: ByteProgress) -> Path:
    """Download the released adapter to ``folder``, unless it is there; return its path. This needs no PyTorch.

    The file is that of the newest commit. Beside it ``ip_adapter-100000.bin.json`` records the commit, and the size and
    sha256 that the hub gave and the file was checked against. Until then it has a hidden name. After an error or an
    interrupt, the next call resumes the download.

    Args:
        folder: where the file is or is to be; made if need be.
        progress: told of the bytes on disk; it may raise to stop.

    Raises:
        DownloadError: it cannot be downloaded, does not match what the hub says of it, or does not fit on the disk.
        BusyError: another process is downloading it to the same folder.
    """
    target = folder / ADAPTER_FILE
    if not target.exists():
        _download(target, progress)
    return target


def open_downloaded(path: Path) -> RelationAdapter:
    """Open what :func:`fetch_adapter` gave.

    Raises:
        CheckpointError: the file is not a whole adapter.
    """
    from .adapter import open_adapter  # noqa: PLC0415 - PyTorch takes seconds, for which no failed download waits

    try:
        return open_adapter(path)
    except CheckpointError as error:
        raise CheckpointError(f"{error} Remove it and run again to download it from {ADAPTER_ADDRESS}.") from error


def _download(target: Path, progress: ByteProgress) -> None:
    folder = target.parent
    try:
        with alone_at(target, "downloading"):
            if not target.exists():
                release = _newest_release(folder)
                part = _part_of(release, folder)
                _check_room(release, part)
                _fetch(release, part, progress)
                _check(release, part, progress)
                _record(release, target)
                part.replace(target)
    except OSError as error:
        raise DownloadError(
            f"{ADAPTER_FILE} could not be written to {folder} ({error.strerror or error}). Expected a folder to write "
            "to, with room for 5.3 GB: what has arrived is kept there, so make room and run again."
        ) from error
    _LOG.info("%s is complete: its sha256 matches the hub's.", target)


def _newest_release(folder: Path) -> _Release:
    """Ask the hub for the newest commit and for the file's size and hash in it."""
    import huggingface_hub as hub  # noqa: PLC0415 - only downloads need it
    from huggingface_hub.errors import OfflineModeIsEnabled  # noqa: PLC0415

    url = hub.hf_hub_url(REPOSITORY, ADAPTER_FILE)
    try:
        found = hub.get_hf_file_metadata(url)
    except OfflineModeIsEnabled as error:
        raise DownloadError(
            f"{ADAPTER_FILE} is not in {folder}, and downloads are switched off (HF_HUB_OFFLINE is set). Expected to "
            f"be online: unset it and start again. {_by_hand(folder)}"
        ) from error
    except Exception as error:  # of the library's HTTP client, another one from version to version
        raise _unreachable(url, folder, error) from error
    sha256, size, revision = found.etag or "", found.size or 0, found.commit_hash or ""
    if not re.fullmatch("[0-9a-f]{64}", sha256) or size <= 0 or not revision:
        raise DownloadError(
            f"{url} does not tell the file's commit, size and sha256 (got {revision or None}, {found.size}, "
            f"{found.etag}); expected them in the headers X-Repo-Commit, X-Linked-Size and X-Linked-Etag, as "
            f"huggingface.co sends them. Set HF_ENDPOINT to another mirror or unset it, and start again. "
            f"{_by_hand(folder)}"
        )
    headers = {**hub.utils.build_hf_headers(), "Accept-Encoding": "identity"}
    return _Release(revision, hub.hf_hub_url(REPOSITORY, ADAPTER_FILE, revision=revision), size, sha256, headers)


def _part_of(release: _Release, folder: Path) -> Path:
    """The name of the unfinished file; parts of other versions are removed."""
    part = folder / f".{ADAPTER_FILE}.{release.sha256[:12]}.part"
    for other in folder.glob(f".{ADAPTER_FILE}.*.part"):
        if other != part:
            other.unlink()
    if part.is_symlink() or (part.exists() and not part.is_file()):  # planted: what it points to is not ours
        part.unlink()
    return part


def _check_room(release: _Release, part: Path) -> None:
    free, needed = shutil.disk_usage(part.parent).free, release.size - _length(part)
    if free < needed:
        raise DownloadError(
            f"{part.parent} has {free / 1e9:.2f} GB of room, and {ADAPTER_FILE} still needs {needed / 1e9:.2f} GB; "
            "expected room for all of it. Free some disk space and run again."
        )


def _fetch(release: _Release, part: Path, progress: ByteProgress) -> None:
    """Complete ``part``, over as many connections as it takes, as long as each of them delivers something."""
    import requests  # noqa: PLC0415 - comes with ComfyUI; only downloads need it
    from requests.adapters import HTTPAdapter  # noqa: PLC0415
    from urllib3.util import Retry  # noqa: PLC0415

    retries = Retry(
        _BUSY_TRIES,
        backoff_factor=0.5,
        status_forcelist=_BUSY,
        raise_on_status=False,
        respect_retry_after_header=False,  # nothing can interrupt the wait
    )
    with requests.Session() as session:
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=retries))
        while (done := _length(part)) < release.size:
            _LOG.info("Downloading %s: %.2f of %.2f GB are there.", release.url, done / 1e9, release.size / 1e9)
            problem = None
            try:
                _append(release, part, session, progress)
            except requests.RequestException as error:
                problem = error
            if _length(part) <= done:
                raise _unreachable(release.url, part.parent, problem) from problem


def _append(release: _Release, part: Path, session: requests.Session, progress: ByteProgress) -> None:
    """Append what one connection delivers to ``part``."""
    from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT  # noqa: PLC0415 - see above

    done = _length(part)
    headers = {**release.headers, "Range": f"bytes={done}-"} if done else release.headers
    with session.get(release.url, headers=headers, stream=True, timeout=HF_HUB_DOWNLOAD_TIMEOUT) as answer:
        answer.raise_for_status()
        if answer.status_code != 206:  # the whole file, whatever part of it was asked for
            done = 0
        coming = answer.headers.get("Content-Length", str(release.size - done))
        if coming != str(release.size - done):
            raise DownloadError(
                f"{release.url} sends {coming} bytes; expected {release.size - done}, as the hub said. If HF_ENDPOINT "
                f"is set to a mirror, set another one or unset it. {_by_hand(part.parent)}"
            )
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(part, flags, 0o666), "ab") as file:
            file.truncate(done)
            for chunk in answer.iter_content(_CHUNK_BYTES):
                if done + len(chunk) > release.size:
                    raise _too_much(release, part)
                file.write(chunk)
                done += len(chunk)
                progress(done, release.size)
            file.flush()
            os.fsync(file.fileno())


def _too_much(release: _Release, part: Path) -> DownloadError:
    part.unlink()
    return DownloadError(
        f"{release.url} sends more than {release.size} bytes; expected no more, as the hub said. It was not kept. If "
        f"HF_ENDPOINT is set to a mirror, set another one or unset it. {_by_hand(part.parent)}"
    )


def _check(release: _Release, part: Path, progress: ByteProgress) -> None:
    """Check the file on the disk against the hub's hash."""
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while block := file.read(_CHECKED_BYTES):
            digest.update(block)
            progress(release.size, release.size)
    if digest.hexdigest() != release.sha256:
        part.unlink()
        raise DownloadError(
            f"What came from {release.url} has the sha256 {digest.hexdigest()}; expected {release.sha256}, as the hub "
            f"said. It was not kept: run again. If that does not help, {_by_hand(part.parent, 'download')}"
        )


def _record(release: _Release, target: Path) -> None:
    """Record beside the file which version it is."""
    entries = {
        "repository": REPOSITORY,
        "revision": release.revision,
        "file": ADAPTER_FILE,
        "size": release.size,
        "sha256": release.sha256,
    }
    write_whole(target.with_name(f"{target.name}.json"), (json.dumps(entries, indent=2) + "\n").encode())


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _unreachable(url: str, folder: Path, error: Exception | None) -> DownloadError:
    said = "nothing came" if error is None else f"{type(error).__name__}: {_first_line(error)}"
    return DownloadError(
        f"{url} cannot be downloaded ({said}). Expected the file there: check the connection, and HF_ENDPOINT if it is "
        f"set, and run again; what has arrived is kept. {_by_hand(folder)}"
    )


def _first_line(error: Exception) -> str:
    """The error's message without the queries of URLs: they are long and carry the user's signature."""
    line = (str(error).strip().splitlines() or [""])[0]
    return re.sub(r"[?]\S+", "", line)[:300]


def _by_hand(folder: Path, verb: str = "Or download") -> str:
    return f"{verb} {ADAPTER_FILE} by hand from {ADAPTER_ADDRESS} and put it in {folder}."
