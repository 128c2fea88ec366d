"""Checks an application before it is deployed."""

from __future__ import annotations

import os
import resource
import shlex
import sys
from argparse import ArgumentError, ArgumentParser
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from flask import Flask

from ..config import PREFIX, Config
from ..errors import ConfigError
from ..findings import Finding, error, ok, warning
from ..log import make_backend
from .state import EXTENSION, State, state_of

# The package that each extra installs.
_PACKAGES = {"redis": "redis", "limits": "limits", "metrics": "prometheus-client"}


def check_application(app: Flask) -> Iterator[Finding]:
    """Check everything that can be checked without the WSGI server; never raises."""
    if EXTENSION not in app.extensions:
        yield error(
            "settings",
            f"The application {app.name!r} has no SSEPush.",
            "Call sse.init_app(app) where the application is created.",
        )
        return
    state = state_of(app)
    yield from _check_settings(app)
    yield from _check_extras(state)
    yield from _check_backend(state.config)
    yield from _check_users(state)
    yield from _check_server(state.config, os.environ)
    yield from _check_database(app)


def wrong_setting(failure: ConfigError) -> Finding:
    """The finding for an application that cannot be loaded because of a setting."""
    return error("settings", str(failure), "Correct the configuration.")


def _check_settings(app: Flask) -> Iterator[Finding]:
    unknown = Config.unknown_keys(app.config)
    for key, advice in unknown:
        yield warning("settings", f"{key} is not a setting of flask_sse_push.", advice)
    count = sum(key.startswith(PREFIX) for key in app.config) - len(unknown)
    yield ok("settings", f"The configuration is valid; {count} SSE_PUSH_ keys are set.")


def _check_extras(state: State) -> Iterator[Finding]:
    """Check the packages that the configured features need."""
    is_limited = state.config.rate_limit is not None or state.setup.rules.limits
    needed = {
        "redis": not state.config.is_memory and "SSE_PUSH_BACKEND_URL",
        "limits": is_limited and "rate limits",
        "metrics": "flask_sse_push.metrics" in sys.modules and "metrics",
    }
    for extra, purpose in needed.items():
        package = _PACKAGES[extra]
        if not purpose:
            continue
        try:
            installed = version(package)
        except PackageNotFoundError:
            yield error(
                "extras",
                f"The package {package} is not installed; it is needed for {purpose}.",
                f"Install it: pip install 'flask_sse_push[{extra}]'",
            )
        else:
            yield ok("extras", f"{package} {installed} is installed, for {purpose}.")


def _check_backend(config: Config) -> Iterator[Finding]:
    backend = make_backend(config)
    try:
        yield from backend.check()
    finally:
        backend.stop()


def _check_users(state: State) -> Iterator[Finding]:
    setup = state.setup
    if setup.user_loader is None:
        yield warning(
            "users",
            "No user_loader is registered: every stream is anonymous, so nobody "
            "receives what is sent to a user.",
            "Register a function that returns the current user's id with "
            "@sse.user_loader. Ignore this if you only broadcast, if your own routes "
            "open the streams with sse.stream_response(user_id), or if clients get "
            "tickets from sse.issue_ticket(user_id).",
        )
    else:
        yield ok("users", "A user_loader is registered.")
    if setup.groups_loader is not None and setup.user_loader is None:
        yield warning(
            "users",
            "A groups_loader is registered, but without a user_loader it is never "
            "called: only users have groups.",
            "Register a user_loader.",
        )
    if setup.authorizer is None:
        yield ok(
            "users",
            "No authorizer is registered: anonymous visitors receive broadcasts.",
        )


def _check_server(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check gunicorn's options in the environment, and the limits of a process."""
    workers, worker_class = _gunicorn_options(environ)
    if workers is not None and workers > 1 and config.is_memory:
        yield error(
            "server",
            f"The environment sets {workers} workers for gunicorn, but memory:// "
            "reaches only the clients of one worker.",
            "Set SSE_PUSH_BACKEND_URL to a Redis or Valkey server "
            "(redis://host:6379/0), or run one worker.",
        )
    if worker_class == "sync":
        yield error(
            "server",
            "GUNICORN_CMD_ARGS sets sync workers, which serve one request at a time: "
            "one open stream blocks a worker.",
            "Start gunicorn with -k gevent.",
        )
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = config.max_connections
    if most and descriptors not in (resource.RLIM_INFINITY, -1) and most > descriptors:
        yield warning(
            "server",
            f"SSE_PUSH_MAX_CONNECTIONS is {most}, but a process started from here may "
            f"open {descriptors} files and sockets.",
            "Raise the limit where the server is started, with ulimit -n or systemd's "
            "LimitNOFILE=.",
        )


def _gunicorn_options(environ: Mapping[str, str]) -> tuple[int | None, str | None]:
    """The number and the class of workers that the environment sets for gunicorn."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-w", "--workers")
    parser.add_argument("-k", "--worker-class")
    try:
        words = shlex.split(environ.get("GUNICORN_CMD_ARGS", ""))
        options, _ = parser.parse_known_args(words)
    except (ValueError, ArgumentError):
        return None, None
    workers = options.workers or environ.get("WEB_CONCURRENCY", "")
    return (int(workers) if workers.isdigit() else None), options.worker_class


def _check_database(app: Flask) -> Iterator[Finding]:
    url = str(app.config.get("SQLALCHEMY_DATABASE_URI", ""))
    if url.partition(":")[0] in ("postgresql", "postgresql+psycopg2"):
        yield warning(
            "database",
            "SQLALCHEMY_DATABASE_URI selects psycopg2, which blocks a gevent worker "
            "during each query: every stream of the worker waits.",
            "Use psycopg 3 (postgresql+psycopg://), which waits cooperatively.",
        )
