"""A Celery task that reports its progress to a user.

The web application and the Celery workers share one ``SSE_PUSH_BACKEND_URL``::

    celery -A example.tasks worker
"""

from __future__ import annotations

import os
import time
from functools import cache

from celery import Celery

from flask_sse_push import EventName, Publisher

celery = Celery(
    "example", broker=os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/1")
)


@cache
def publisher() -> Publisher:
    """The publisher; each process of a pool makes its own connections."""
    return Publisher.from_url(
        os.environ.get("SSE_PUSH_BACKEND_URL", "redis://localhost:6379/0")
    )


@celery.task  # type: ignore[untyped-decorator]
def make_report(user: str, report: str, pages: int, page_seconds: float = 0.5) -> int:
    """Work page by page, and report progress to the user after each.

    :param page_seconds: how long one page takes.
    """
    for page in range(1, pages + 1):
        time.sleep(page_seconds)
        publisher().send_to_user(
            user,
            EventName.PROGRESS_UPDATE,
            {
                "task_id": report,
                "current": page,
                "total": pages,
                "status": "done" if page == pages else "running",
            },
            # Celery may run a task twice; with an id, the user gets one event.
            id=f"{report}-{page}",
        )
    return pages
