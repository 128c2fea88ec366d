"""gunicorn's settings for benchmarks. Versions of gunicorn ignore unknown settings."""

from __future__ import annotations

# The control socket is not used here, and would be in the home folder.
control_socket_disable = True
