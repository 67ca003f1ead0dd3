"""One small HTTP server on a free port of 127.0.0.1, in a thread of its own."""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """names in lower case"""
    body: bytes

    def document(self) -> dict[str, Any]:
        try:
            document = json.loads(self.body)
        except ValueError as error:
            raise Refusal(400, f"the body is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise Refusal(400, "the body is not a JSON object")
        return document

    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def answer_json(document: object, status: int = 200) -> Response:
    return Response(status=status, body=json.dumps(document).encode(), headers={"Content-Type": "application/json"})


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure
    """A request that a service refuses, with the status and text to answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Service:
    """A server that gives ``answer`` to every request until `stop`."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        service = self
        self._respond_to = answer

        class Handler(BaseHTTPRequestHandler):
            # HTTP/1.0 closes every connection after its answer, so no client leaves an open socket for the garbage
            # collector to warn about.
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                request = Request(
                    method=self.command,
                    path=parts.path,
                    query={name: values[0] for name, values in parse_qs(parts.query).items()},
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=self.rfile.read(int(self.headers.get("Content-Length", "0"))),
                )
                response = service.respond(request)
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                self.wfile.write(response.body)

            @override
            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.requests: list[Request] = []
        """everything that was asked, in order"""
        self.unavailable = False
        """answer 503 to everything"""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def respond(self, request: Request) -> Response:
        self.requests.append(request)
        if self.unavailable:
            return answer_json({"code": 14, "message": "unavailable"}, 503)
        try:
            return self._respond_to(request)
        except Refusal as refusal:
            return answer_json({"code": refusal.status, "message": str(refusal)}, refusal.status)
