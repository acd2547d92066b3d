"""A web server for tests, on this machine only, which answers requests for ranges as real ones do."""

import hashlib
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer:
    """Serve files from memory, and note the requests.

    Attributes
    ----------
    url
        Where the files are, with a slash at the end.
    files
        Content by name; may be changed at any time.
    requests
        Method, name and range of each request so far.
    failures
        Statuses with which the next requests are refused.
    most_at_once
        Largest number of requests that were answered at the same time.
    """

    def __init__(self):
        self.files = {}
        self.requests = []
        self.most_at_once = 0
        self.delay_s = 0
        self.answers_ranges = True
        self.sends_etags = True
        self.failures = []
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def ranges(self):
        """Return the ranges that were asked for."""
        return [part for method, _, part in self.requests if method == "GET"]

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    @contextmanager
    def answering(self, request):
        """Note a request while it is answered."""
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        time.sleep(self.delay_s)
        try:
            yield
        finally:
            with self._lock:
                self._at_once -= 1


def _handler_of(web):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.answer(with_body=False)

        def do_GET(self):
            self.answer(with_body=True)

        def answer(self, with_body):
            name = self.path.partition("?")[0].strip("/")
            wanted = self.headers.get("Range")
            with web.answering((self.command, name, wanted)):
                content = web.files.get(name)
                if content is None or web.failures:
                    self.send(web.failures.pop(0) if web.failures else 404, b"", {}, with_body)
                    return
                headers = {"Accept-Ranges": "bytes"} if web.answers_ranges else {}
                if web.sends_etags:
                    headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
                found = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted or "")
                if found is None or not web.answers_ranges:
                    self.send(200, content, headers, with_body)
                    return
                first, last = (int(number) for number in found.groups())
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                self.send(206 if first < len(content) else 416, content[first : last + 1], headers, with_body)

        def send(self, status, body, headers, with_body):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *args):
            """Keep quiet."""

    return Handler
