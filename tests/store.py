"""gs:// in memory, for tests: what gcsfs is to fsspec, and a server of the JSON API, which TensorStore speaks."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

PART = 2**16  # bytes of an object that travel at once


class Upload(MemoryFile):
    """A file open for writing: as it is closed, also by an exception, what was written so far becomes the object."""

    def write(self, data: Any) -> int:
        self.fs.travel(data)
        return super().write(data)

    put = False

    def close(self) -> None:
        if not self.put:  # once: Python closes again what it forgets
            self.put = True
            self.commit()


class Store(MemoryFileSystem):
    """An object store: an object comes when its file is closed, or with the last byte of a local file that is put; none
    is appended to."""

    protocol = ("gs",)
    store: dict[str, Any] = {}
    pseudo_dirs = [""]

    def travel(self, part: bytes) -> None:
        """What may be interrupted."""

    def put_file(self, lpath: str, rpath: str, *_: Any, **options: Any) -> None:
        parts = []
        with open(lpath, "rb") as file:
            while part := file.read(PART):
                self.travel(part)
                parts.append(part)
        self.pipe_file(rpath, b"".join(parts))

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        path = str(path).removeprefix("gs://").strip("/")
        return f"/{path}" if path else ""

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode not in ("rb", "wb"):
            raise OSError(f"an object store has no mode {mode}")
        if mode == "wb" and "data" not in options:
            return Upload(self, self._strip_protocol(path))
        return super()._open(path, mode, **options)


class Bucket:
    """What google.cloud.storage tells orbax of a bucket."""

    hierarchical_namespace_enabled = False


class Handler(BaseHTTPRequestHandler):
    """get, put, list and delete of the JSON API on the objects of `Store`."""

    protocol_version = "HTTP/1.1"
    files = Store()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def target(self) -> tuple[str, str | None, dict[str, str]]:
        url = urlsplit(self.path)
        bucket, _, name = url.path.partition("/b/")[2].partition("/o")
        return unquote(bucket), unquote(name[1:]) or None, {k: v[0] for k, v in parse_qs(url.query).items()}

    def answer(self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, "x-goog-generation": "1", **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        bucket, name, query = self.target()
        if name is None:
            root = f"/{bucket}/"
            names = sorted(key.removeprefix(root) for key in Store.store if key.startswith(root))
            items = [
                {"name": n, "size": "1", "generation": "1"} for n in names if n.startswith(query.get("prefix", ""))
            ]
            return self.answer(200, json.dumps({"items": items}).encode())
        path = f"/{bucket}/{name}"
        if path not in Store.store:
            return self.answer(404, b"{}")
        data = self.files.cat_file(path)
        if query.get("alt") != "media":
            return self.answer(200, json.dumps({"name": name, "size": str(len(data)), "generation": "1"}).encode())
        wanted = self.headers.get("Range")
        if wanted is None:
            return self.answer(200, data, "application/octet-stream")
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = (int(first), int(last or len(data) - 1)) if first else (len(data) - int(last), len(data) - 1)
        part = data[start : end + 1]
        where = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
        self.answer(206, part, "application/octet-stream", Content_Range=where)

    def do_POST(self) -> None:
        bucket, _, query = self.target()
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.files.pipe_file(f"/{bucket}/{query['name']}", data)
        document = {"name": query["name"], "size": str(len(data)), "generation": "1"}
        self.answer(200, json.dumps(document).encode())

    def do_DELETE(self) -> None:
        bucket, name, _ = self.target()
        found = Store.store.pop(f"/{bucket}/{name}", None) is not None
        self.answer(204 if found else 404)


@contextmanager
def serving() -> Iterator[str]:
    """The address of the JSON API on this machine, while it is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
