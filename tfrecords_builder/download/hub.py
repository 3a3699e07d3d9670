"""What is asked of the hub: the commit of a revision, the files of a commit, one file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from mmls_tf.errors import MmlsError, UsageError

Result = TypeVar("Result")
# Names are checked before anything is written under them: a listing is input like any other.
_WANTED = re.compile(r"(train|val|test)/(images|masks)/[A-Za-z0-9_][A-Za-z0-9_.-]*\.tiff?")


class DownloadError(MmlsError):
    """The hub cannot be reached, refuses, or offers something else than the release."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of the release as the hub lists it.

    Attributes:
      path: inside the data set, such as `train/images/col00012_row00004.tif`.
      size: in bytes.
      sha256: of the content, where the hub keeps it as a large file; else None.
      git_sha1: of git's blob, which is that of the content only where `sha256` is None.
    """

    path: str
    size: int
    sha256: str | None
    git_sha1: str


@cache
def load_hub() -> Any:
    """Returns the `huggingface_hub` module.

    Raises:
      UsageError: it is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise UsageError(
            f"huggingface_hub is needed to download the data set: {error}. Install it with "
            "`pip install huggingface_hub` or `pip install -e '.[download]'`."
        ) from error
    return huggingface_hub


def resolve(repo: str, revision: str) -> str:
    """Returns the commit, 40 hexadecimal digits, that a revision stands for now."""
    info = _asked(f"--revision={revision} of {repo}", lambda: _api().dataset_info(repo, revision=revision))
    commit = str(info.sha)
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise DownloadError(f"--revision={revision}: expected a commit of {repo}, found {commit!r}")
    return commit


def list_files(repo: str, commit: str) -> list[RemoteFile]:
    """Returns the files of the split folders at a commit, ordered by path; all else is left alone."""
    tree = _asked(
        f"the list of files of {repo}",
        lambda: list(_api().list_repo_tree(repo, recursive=True, revision=commit, repo_type="dataset")),
    )
    files = [
        RemoteFile(item.path, item.size, item.lfs.sha256 if item.lfs else None, item.blob_id)
        for item in tree
        if hasattr(item, "blob_id") and _WANTED.fullmatch(item.path)
    ]
    return sorted(files, key=lambda file: file.path)


def fetch(repo: str, commit: str, path: str, folder: Path) -> None:
    """Fetches one file to `folder`/`path`, taking up what an interrupted transfer left."""
    _asked(
        f"{path} of {repo}",
        lambda: load_hub().hf_hub_download(
            repo, path, repo_type="dataset", revision=commit, local_dir=str(folder)
        ),
    )


def _api() -> Any:
    return load_hub().HfApi(library_name="mmls-tf")


def _asked(what: str, ask: Callable[[], Result]) -> Result:
    try:
        return ask()
    except MmlsError:
        raise
    except Exception as error:  # the library passes on errors of whichever HTTP client it uses this year
        text = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise DownloadError(
            f"{what}: expected an answer of the hub, found {text[0]}. Run the command again: it goes on where it "
            "stopped"
        ) from error
