"""uvicorn as the gateway runs it: with limits of connections, a watchdog, and a time limit for its shutdown."""

from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from api_gateway.connections import LONGEST_HEAD, ConnectionGuard, guarded
from api_gateway.watchdog import Watchdog, end_within
from xraygpt_core.settings import Settings

# Seconds an open stream gets to end after SIGTERM, and the whole process at the most.
_GRACE_SECONDS = 5
_END_SECONDS = 12.0
_TICKS = 10  # of uvicorn's, a tenth of a second each, between two looks at the connections
_BEATS = 50  # and between two beats of the watchdog


class GatewayServer(uvicorn.Server):
    """Serves until SIGTERM or SIGINT."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._guard = ConnectionGuard(settings)
        self._watchdog = Watchdog()
        super().__init__(
            uvicorn.Config(
                cast(Any, app),  # uvicorn and Starlette write the same type in two ways
                host=settings.gateway_host,
                port=settings.gateway_port,
                ssl_certfile=settings.gateway_certificate_file,
                ssl_keyfile=settings.gateway_key_file and str(settings.gateway_key_file),
                http=guarded(self._guard),
                ws="none",
                h11_max_incomplete_event_size=LONGEST_HEAD,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS == 0:
            self._guard.look()
        if counter % _BEATS == 0 and not self.should_exit:
            self._watchdog.beat()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        end_within(_END_SECONDS)
        super().handle_exit(sig, frame)
