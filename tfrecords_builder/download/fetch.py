"""The download: commit -> list -> files beside the target -> checked -> one rename.

Nothing stands at `--out` before all of it is there and checked. Until then the files gather in a hidden folder beside
it, with the commit that they belong to, and a second run goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mmls_tf.errors import InputError, Issue, UsageError
from tfrecords_builder.download.config import DownloadConfig
from tfrecords_builder.download.hub import DownloadError, RemoteFile, fetch, list_files, resolve

RECEIPT_NAME = "download.json"
TILES = {"train": 465, "val": 66, "test": 133}  # of the release; an image and a mask each


@dataclass(frozen=True)
class Receipt:
    """What lies in a folder, as `download.json` keeps it.

    Attributes:
      revision: what was asked for.
      commit: what that stood for at the first run, 40 hexadecimal digits; later runs keep to it.
      complete: False while files are missing.
      files: path, size and hash of every file, as the hub listed them.
    """

    repo: str
    revision: str
    commit: str
    complete: bool
    files: tuple[RemoteFile, ...]


def download(config: DownloadConfig, tiles: Mapping[str, int] = TILES) -> Receipt:
    """Fetches the split folders of the release to `config.out`, or checks those that are there already.

    Args:
      tiles: number of tiles that each split must have.

    Raises:
      UsageError: something else is in the way, or huggingface_hub is not installed.
      DownloadError: the hub fails, or offers other numbers of files. What has been fetched stays for the next run.
      InputError: files whose content is not what the hub lists; they are deleted, for the next run to fetch.
    """
    out = Path(config.out).absolute()
    staging = out.with_name(f".{out.name}.downloading")
    if _stands(out):
        receipt = _read_receipt(out, config)
        _check_content(out, receipt.files, delete=False)
        return receipt
    staging.mkdir(parents=True, exist_ok=True)
    receipt = _begin(staging, config)
    _check_counts(receipt, tiles)
    _fetch_missing(staging, receipt, config.workers)
    _check_content(staging, receipt.files, delete=True)
    shutil.rmtree(staging / ".cache", ignore_errors=True)  # the library's notes on unfinished transfers
    complete = Receipt(receipt.repo, receipt.revision, receipt.commit, True, receipt.files)
    _write_receipt(staging, complete)
    if out.exists():
        out.rmdir()  # an empty folder
    staging.rename(out)
    return complete


def _stands(out: Path) -> bool:
    """Tells whether a finished download stands at `out`."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / RECEIPT_NAME).is_file():
        raise UsageError(
            f"--out={out}: expected a new or empty folder or a finished download, found something else; name another"
        )
    return True


def _begin(staging: Path, config: DownloadConfig) -> Receipt:
    """Returns the receipt of an interrupted run, or begins a new one by pinning the revision to a commit."""
    if (staging / RECEIPT_NAME).is_file():
        return _read_receipt(staging, config)
    commit = resolve(config.repo, config.revision)
    receipt = Receipt(config.repo, config.revision, commit, False, tuple(list_files(config.repo, commit)))
    _write_receipt(staging, receipt)
    return receipt


def _read_receipt(folder: Path, config: DownloadConfig) -> Receipt:
    path = folder / RECEIPT_NAME
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        receipt = Receipt(**{**fields, "files": tuple(RemoteFile(**file) for file in fields["files"])})
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: expected the notes of a download, found {error}; delete {folder}"
        ) from error
    asked, kept = (config.repo, config.revision), (receipt.repo, receipt.revision)
    if asked != kept and asked != (receipt.repo, receipt.commit):
        raise UsageError(
            f"--repo={config.repo} --revision={config.revision}: expected {receipt.repo} at {receipt.revision} "
            f"(commit {receipt.commit}), which {folder} holds; name another --out, or delete it"
        )
    return receipt


def _write_receipt(folder: Path, receipt: Receipt) -> None:
    path = folder / RECEIPT_NAME
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(asdict(receipt), indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


def _check_counts(receipt: Receipt, tiles: Mapping[str, int]) -> None:
    found = Counter(tuple(file.path.split("/")[:2]) for file in receipt.files)
    wrong = [
        f"{split}/{kind}: expected {count} files, found {found[split, kind]}"
        for split, count in tiles.items()
        for kind in ("images", "masks")
        if found[split, kind] != count
    ]
    if wrong:
        raise DownloadError(
            f"{receipt.repo} at commit {receipt.commit} is not the release:\n  "
            + "\n  ".join(wrong)
            + "\nName another --revision and another --out."
        )


def _fetch_missing(folder: Path, receipt: Receipt, workers: int) -> None:
    missing = [file for file in receipt.files if not _has_size(folder / file.path, file.size)]
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(receipt.files), initial=len(receipt.files) - len(missing), unit="file") as bar,
    ):
        jobs = [pool.submit(fetch, receipt.repo, receipt.commit, file.path, folder) for file in missing]
        try:
            for job in jobs:
                job.result()
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _check_content(folder: Path, files: Sequence[RemoteFile], delete: bool) -> None:
    issues = []
    for file in files:
        path = folder / file.path
        if not path.is_file():
            issues.append(Issue(str(path), "a file", "none"))
        elif not _is_listed(path, file):
            issues.append(
                Issue(str(path), f"{file.size} bytes with the hash that the hub lists", "other content")
            )
            if delete:
                path.unlink()
    if issues:
        advice = (
            "They were deleted; run the command again to fetch them."
            if delete
            else f"Delete {folder} and run again."
        )
        raise InputError(issues, advice)


def _is_listed(path: Path, file: RemoteFile) -> bool:
    content = path.read_bytes()
    if len(content) != file.size:
        return False
    if file.sha256 is not None:
        return hashlib.sha256(content).hexdigest() == file.sha256
    blob = b"blob %d\0" % len(content) + content
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest() == file.git_sha1
