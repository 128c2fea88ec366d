"""gunicorn's settings for tests. Versions that do not know one pass over it."""

from __future__ import annotations

# A server of a test has nobody to talk to, and its socket would lie in the home folder.
control_socket_disable = True
