"""``python -m tests.support.other waitress module:app``: a server on a free port."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main() -> None:
    """Serve until ended."""
    kind, target = sys.argv[1:]
    module, _, name = target.partition(":")
    app = getattr(importlib.import_module(module), name)
    _SERVE[kind](app)


def _tell(port: int) -> None:
    print(f"Listening at: http://127.0.0.1:{port}", flush=True)  # noqa: T201


def _waitress(app: Any) -> None:
    from waitress import create_server

    server = create_server(app, host="127.0.0.1", port=0)
    _tell(server.effective_port)
    server.run()


def _cheroot(app: Any) -> None:
    from cheroot.wsgi import Server

    server = Server(("127.0.0.1", 0), app)
    server.prepare()
    _tell(server.bind_addr[1])
    server.serve()


def _wsgiref(app: Any) -> None:
    from wsgiref.simple_server import make_server

    server = make_server("127.0.0.1", 0, app)
    _tell(server.server_port)
    server.serve_forever()


_SERVE = {"waitress": _waitress, "cheroot": _cheroot, "wsgiref": _wsgiref}


if __name__ == "__main__":
    main()
