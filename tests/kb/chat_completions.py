"""A real server on a free port that speaks the chat-completions protocol, and says what the test wants."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Says = Callable[[str], tuple[int, bytes]]


class LanguageModel:
    """`says`: from what the model is given to (status, body); `asked` are the requests that came, headers beside."""

    def __init__(self) -> None:
        self.url = ""
        self.says: Says = saying("")
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.hold = threading.Event()
        self.holds = False

    @contextlib.contextmanager
    def serving(self) -> Iterator["LanguageModel"]:
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.asked.append(request)
                model.paths.append(self.path)
                model.keys.append(self.headers["Authorization"])
                if model.holds:
                    model.hold.wait(30)
                status, body = model.says(request["messages"][-1]["content"])
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield self
        finally:
            self.hold.set()
            server.shutdown()
            server.server_close()
            thread.join()


def saying(text: str) -> Says:
    """The model's answer in the form of the protocol, whatever it is given."""
    message = {"role": "assistant", "content": text}
    body = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return lambda _: (200, json.dumps(body).encode())
