"""The log: one line an event, for people on a terminal or as JSON lines. Says what to do, never a secret."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up(*, json_lines: bool = False) -> None:
    """Send structured log lines to stderr; the libraries' own warnings come along."""
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if json_lines
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s [%(levelname)s] %(name)s %(message)s")
