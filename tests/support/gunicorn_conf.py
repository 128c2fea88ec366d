"""gunicorn's settings for tests. Versions of gunicorn ignore unknown settings."""

from __future__ import annotations

# Tests do not use gunicorn's control socket, which would be in the home folder.
control_socket_disable = True
