"""A hub on 127.0.0.1 that answers what huggingface_hub asks of the real one, and misbehaves when told to."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlparse

REPO = "MarsLS/MMLSv2"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAGE = 5


@dataclass
class Hub:
    """What the hub offers and how it misbehaves.

    Attributes:
      files: path -> content; images are large files, masks are plain ones in git.
      commit: what `main` stands for.
      cut: path -> how many transfers of it break off half-way.
      spoiled: paths whose content is not what is listed.
      asked: number of transfers of a path; `ranges`: those that began later than the first byte.
    """

    files: dict[str, bytes]
    commit: str = COMMIT
    cut: dict[str, int] = field(default_factory=dict)
    spoiled: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    ranges: Counter[str] = field(default_factory=Counter)
    revisions: list[str] = field(default_factory=list)
    url: str = ""

    def is_large(self, path: str) -> bool:
        return "/images/" in path

    def etag(self, path: str) -> str:
        content = self.files[path]
        if self.is_large(path):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def entry(self, path: str) -> dict[str, object]:
        found: dict[str, object] = {"type": "file", "path": path, "size": len(self.files[path])}
        if self.is_large(path):
            large = {"oid": self.etag(path), "size": len(self.files[path]), "pointerSize": 130}
            return found | {"oid": "f" * 40, "lfs": large}
        return found | {"oid": self.etag(path)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *words: object) -> None: ...

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        url = urlparse(self.path)
        path, hub = unquote(url.path), self.hub
        if path.startswith(f"/api/datasets/{REPO}/revision/"):
            hub.revisions.append(path.rsplit("/", 1)[1])
            self._json({"id": REPO, "sha": hub.commit, "siblings": [], "tags": [], "private": False})
        elif path.startswith(f"/api/datasets/{REPO}/tree/"):
            self._tree(path, int(parse_qs(url.query).get("cursor", ["0"])[0]))
        elif path.startswith((f"/datasets/{REPO}/resolve/", "/large/")):
            self._file(path, with_body)
        else:
            self._json({"error": "not found"}, 404)

    def _tree(self, path: str, start: int) -> None:
        names = sorted(self.hub.files)
        folders = [{"type": "directory", "path": "train", "oid": "e" * 40, "size": 0}] if start == 0 else []
        listed = folders + [self.hub.entry(name) for name in names[start : start + PAGE]]
        more = start + PAGE < len(names)
        link = f'<{self.hub.url}{path}?recursive=True&cursor={start + PAGE}>; rel="next"' if more else None
        self._json(listed, link=link)

    def _json(self, value: object, status: int = 200, link: str | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if link:
            self.send_header("Link", link)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, path: str, with_body: bool) -> None:
        hub = self.hub
        moved = path.startswith("/large/")
        name = path.removeprefix("/large/") if moved else path.split("/", 6)[6]
        if name not in hub.files:
            self._json({"error": "no such file"}, 404)
            return
        content = hub.files[name]
        if name in hub.spoiled:
            content = bytes(len(content))
        if hub.is_large(name) and not moved:
            self.send_response(302)
            self.send_header("Location", f"{hub.url}/large/{name}")
            self.send_header("X-Linked-Etag", f'"{hub.etag(name)}"')
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Repo-Commit", hub.commit)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send(name, content, with_body)

    def _send(self, name: str, content: bytes, with_body: bool) -> None:
        hub = self.hub
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked.startswith("bytes=") else 0
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{hub.etag(name)}"')
        self.send_header("X-Repo-Commit", hub.commit)
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if not with_body:
            return
        hub.asked[name] += 1
        hub.ranges[name] += start > 0
        if hub.cut.get(name, 0) > 0:
            hub.cut[name] -= 1
            self.wfile.write(content[start : start + max(1, (len(content) - start) // 2)])
            self.close_connection = True
            return
        self.wfile.write(content[start:])


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Runs the hub on a free port of this machine for the length of the block."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
