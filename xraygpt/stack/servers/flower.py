"""Flower, behind a password (:mod:`flower_guard`) and showing the jobs (:mod:`flower_jobs`). It changes nothing.

Run as ``python -m xraygpt.stack.servers.flower``.
"""

import atexit
import signal
import sys
from typing import Any

from flower.app import Flower
from flower.command import extract_settings, setup_logging
from flower.options import default_options
from flower.urls import handlers, settings
from tornado.web import url

from xraygpt.stack.servers.flower_guard import SHOWN, GuardedFlower
from xraygpt.stack.servers.flower_jobs import PAGES, TASK_COLUMNS, JobsState
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.queue import make_celery
from xraygpt_core.settings import FlowerSettings, read_settings


def build(configured: FlowerSettings) -> Flower:
    """The web application, listening nowhere yet.

    Raises:
        ConfigurationError: there is no password.
    """
    if configured.flower_password is None:
        raise ConfigurationError("settings: XRAYGPT_FLOWER_PASSWORD is missing")
    default_options.address = configured.flower_host
    default_options.port = configured.flower_port
    credentials = f"{configured.flower_user}:{configured.flower_password.get_secret_value()}"
    default_options.basic_auth = [credentials]
    default_options.tasks_columns = TASK_COLUMNS
    extract_settings()
    setup_logging()
    # The application reads this list when it is built; what is not in it answers 404 behind authentication.
    handlers[:] = [_with_note(handler) for handler in handlers if _class(handler) in SHOWN]
    celery = make_celery(configured)
    # No pool of connections: Flower asks four things at once, each on two connections. Where a pool holds fewer, each
    # of the four waits for ever for its second one; nothing about a worker is shown, and SIGTERM ends nothing.
    celery.conf.broker_pool_limit = 0
    asks, trusts = configured.flower_gateway_url, configured.gateway_ca_file
    flower = GuardedFlower(credentials, asks, trusts, capp=celery, options=default_options, **settings)
    flower.events.state = JobsState(
        max_workers_in_memory=default_options.max_workers, max_tasks_in_memory=default_options.max_tasks
    )
    return flower


def _class(handler: Any) -> Any:
    """What answers a route, which Flower writes in two ways."""
    return handler[1] if isinstance(handler, tuple) else handler.handler_class


def _with_note(handler: Any) -> Any:
    """The same route, answered by our page where there is one."""
    page = PAGES.get(_class(handler))
    return handler if page is None else url(handler.regex.pattern, page, handler.kwargs, handler.name)


def main() -> None:
    """Serve until SIGTERM."""
    try:
        application = build(read_settings(FlowerSettings))
    except ConfigurationError as error:
        sys.exit(f"xraygpt.stack.servers.flower: {error}")
    atexit.register(application.stop)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # through the exit handlers
    application.start_http_server()
    application.start()


if __name__ == "__main__":
    main()
