"""A Celery task that reports its progress to a user.

The web application and the Celery workers share one ``SSE_PUSH_BACKEND_URL``::

    celery -A example.tasks worker
"""

from __future__ import annotations

import os
import time
from functools import cache

from celery import Celery

from flask_sse_push import Publisher

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
    """Work page by page; the user sees the progress, and whether the task failed.

    :param report: names the task in the events: a task that Celery runs twice shows
        as one.
    :param page_seconds: how long one page takes.
    """
    for _ in publisher().progress(user, range(pages), task_id=report):
        time.sleep(page_seconds)
    return pages
