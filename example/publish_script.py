"""Send an event from outside the application: a cron job, a deploy, a shell.

Usage::

    python -m example.publish_script redis://localhost:6379/0 "Sale starts at noon"
"""

from __future__ import annotations

import sys
from uuid import uuid4

from flask_sse_push import EventName, Publisher


def main(url: str, content: str) -> str | None:
    """Announce something to everybody; returns the event's id.

    :param url: the application's ``SSE_PUSH_BACKEND_URL``.
    """
    with Publisher.from_url(url) as publisher:
        receipt = publisher.broadcast(
            EventName.ANNOUNCEMENT,
            {
                "title": "From a script",
                "content": content,
                "priority": "medium",
                "id": uuid4().hex,
            },
        )
        return receipt.id


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} URL TEXT")
    sys.stdout.write(f"{main(*sys.argv[1:])}\n")
