"""``python -m tests.support.pywsgi module:app``: gevent's server on a free port."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import importlib  # noqa: E402 (after patching)
import sys  # noqa: E402

from gevent.pywsgi import WSGIServer  # noqa: E402


def main() -> None:
    module, _, name = sys.argv[1].partition(":")
    app = getattr(importlib.import_module(module), name)
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    print(f"Listening at: http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    server.serve_forever()


if __name__ == "__main__":
    main()
