"""gunicorn's settings for benchmarks. Versions that do not know one pass over it."""

from __future__ import annotations

# Nobody talks to a server under measurement; its socket would lie in the home folder.
control_socket_disable = True
