"""``python -m benchmarks.other_servers NAME PORT``: servers without a command line."""

from __future__ import annotations

import sys
from typing import Any


def _waitress(port: int) -> None:
    from waitress import serve

    serve(_app(), host="127.0.0.1", port=port, threads=4)


def _cheroot(port: int) -> None:
    from cheroot.wsgi import Server

    Server(("127.0.0.1", port), _app(), numthreads=10).start()


def _wsgiref(port: int) -> None:
    from wsgiref.simple_server import make_server

    make_server("127.0.0.1", port, _app()).serve_forever()


def _pywsgi(port: int) -> None:
    from gevent.monkey import patch_all

    patch_all()
    from gevent.pywsgi import WSGIServer

    WSGIServer(("127.0.0.1", port), _app(), log=None).serve_forever()


def _app() -> Any:
    # After gevent has patched the process, where it does.
    from benchmarks.app import app

    return app


_SERVE = {
    "waitress": _waitress,
    "cheroot": _cheroot,
    "wsgiref": _wsgiref,
    "pywsgi": _pywsgi,
}

if __name__ == "__main__":
    _SERVE[sys.argv[1]](int(sys.argv[2]))
