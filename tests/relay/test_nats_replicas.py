"""The relay over a cluster of NATS servers, which agree on everything before they answer."""

import asyncio

from tests.relay.nats_cluster import NatsCluster
from tests.relay.support import NatsNetwork, connected


async def test_once_while_the_first_is_in_process() -> None:
    """Of simultaneous entries with the same ``once``, one is appended, and all get its offset."""
    with NatsCluster() as cluster:
        network = NatsNetwork(cluster, relay_replicas=3)
        async with connected(network) as one, connected(network) as other:
            for number in range(20):
                appended = await asyncio.gather(
                    *(
                        each.relay.append("7.a", b"%d" % number, once=f"id{number}")
                        for _ in range(5)
                        for each in (one, other)
                    )
                )
                assert len({offset for offset, _ in appended}) == 1
                assert [is_duplicate for _, is_duplicate in appended].count(False) == 1
            found = await one.relay.read("7.a", after=0, limit=100)
            assert [int(entry.data) for entry in found] == list(range(20))
