"""The server: a few read-only paths, for browsers on this machine unless another host is given."""

import ipaddress
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from overmem import explorer
from overmem.errors import BadRequest, OvermemError
from overmem.view import View
from overmem.view.runs import ServedRun, served_runs

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of all responses except the report, which has its own."""


class Server(ThreadingHTTPServer):
    """Serves runs until it is shut down."""

    daemon_threads = True

    def __init__(self, runs: Sequence[ServedRun], host: str, port: int) -> None:
        self.runs = list(runs)
        self.is_loopback = is_loopback(host)
        super().__init__((host, port), _Handler)

    def read_ahead(self) -> None:
        """Read the table of the first run in a thread, so that a browser need not wait for it."""
        threading.Thread(target=self.runs[0].table, daemon=True).start()

    @property
    def address(self) -> str:
        """The address for a browser."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}/"


def open_server(config: View) -> Server:
    """A server of these runs, which is listening; call `serve_forever`.

    Raises:
        BadRequest: a run was not audited, or the address cannot be listened on.
    """
    runs = served_runs(config.runs, config.out)
    try:
        return Server(runs, config.host, config.port)
    except (OSError, OverflowError) as error:
        raise BadRequest(f"cannot listen on {config.host} port {config.port}: {error}; give another --port") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach this address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    disable_nagle_algorithm = True
    protocol_version = "HTTP/1.1"
    server_version = "overmem"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one request; an error is one line of plain text."""
        if not self._has_own_host():
            self._send(403, b"this server answers to its own address only", "text/plain")
            return
        try:
            self._answer(urlsplit(self.path))
        except OvermemError as error:
            self._send(404, str(error).encode(), "text/plain")
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _has_own_host(self) -> bool:
        """Whether the Host header is a loopback address if the server's is: a defence against DNS rebinding."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        return not self.server.is_loopback or is_loopback(host)

    def _answer(self, url: Any) -> None:
        if url.path in FILES:
            self._send(200, *FILES[url.path]())
            return
        parts = [unquote(part) for part in url.path.split("/")[1:]]
        if parts == ["runs"]:
            self._send_json([run.summary() for run in self.server.runs])
            return
        run = self._run(parts)
        match parts[2:]:
            case ["table"]:
                self._send_table(run)
            case ["example"]:
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                self._send_json(run.example(query.get("split", ""), query.get("id", "")))
            case ["report"] if run.run.report_path.is_file():
                self._send(200, run.run.report_path.read_bytes(), "text/html", policy="")
            case _:
                raise BadRequest(f"nothing at {url.path[:200]}")

    def _run(self, parts: Sequence[str]) -> ServedRun:
        if parts[0] == "runs" and len(parts) == 3 and parts[1].isdecimal() and int(parts[1]) < len(self.server.runs):
            return self.server.runs[int(parts[1])]
        raise BadRequest(f"nothing at /{'/'.join(parts)[:200]}")

    def _send_table(self, run: ServedRun) -> None:
        tag = f'"{run.tag()}"'
        if self.headers.get("If-None-Match") == tag:
            self._send(304, b"", "application/json", tag=tag)
            return
        tag, body = run.table()
        self._send(200, body, "application/json", tag=f'"{tag}"')

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value, ensure_ascii=False, allow_nan=False).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str, *, tag: str = "", policy: str = POLICY) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        if policy:
            self.send_header("Content-Security-Policy", policy)
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Requests are not logged."""


def _page(name: str) -> str:
    return (resources.files("overmem.view") / "page" / name).read_text(encoding="utf-8")


FILES: Mapping[str, Callable[[], tuple[bytes, str]]] = {
    "/": lambda: (_page("index.html").encode(), "text/html"),
    "/explorer.js": lambda: (explorer.script().encode(), "text/javascript"),
    "/view.js": lambda: (_page("view.js").encode(), "text/javascript"),
    "/view.css": lambda: ((explorer.theme() + explorer.style() + _page("view.css")).encode(), "text/css"),
}
"""Path -> the content of a static file, and its type."""
