"""A listener in the test's own event loop, with a sink in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from receive.memory import MemorySink

from ingestd.receive.limits import Connections, Limits
from ingestd.receive.listener import Listener


@dataclass
class Service:
    """What `start` returns."""

    listener: Listener
    sink: MemorySink
    connections: Connections
    address: tuple[str, int]
    drained: bool = field(default=False)

    async def drain(self, grace: float) -> int:
        self.drained = True
        return await self.listener.drain(grace)


Start = Callable[..., Awaitable[Service]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start listeners on loopback: `await start("lmtp", failing="fault", max_size=100)`."""
    services: list[Service] = []

    async def start_one(
        protocol: Literal["lmtp", "smtp"] = "lmtp",
        *,
        failing: str = "",
        connections: int = 100,
        **limits: Any,  # noqa: ANN401 - Limits' own fields
    ) -> Service:
        counter = Connections(connections)
        sink = MemorySink(failing)
        listener = Listener(sink, protocol=protocol, hostname="mx.test", limits=Limits(**limits), connections=counter)
        await listener.start_tcp("127.0.0.1", 0)
        host, _, port = listener.addresses[0].rpartition(":")
        services.append(Service(listener, sink, counter, (host, int(port))))
        return services[-1]

    yield start_one
    for service in services:
        cut = 0 if service.drained else await service.listener.drain(5)
        assert cut == 0, "a session hung"
        assert service.listener.sessions == 0
        assert service.connections.count == 0
        assert service.sink.inside == 0
        assert service.sink.waiting == 0
