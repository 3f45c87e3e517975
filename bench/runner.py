"""The order of the measurements: interleaved, so that a busy moment affects all peers alike."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.peers import PROJECT, Peer
from bench.results import BUSY_GENERATOR, Results, Sample
from bench.scenarios import Scenario
from bench.servers import Server, ServerFailed, running

WARM_UP = ("fanout", "--subscribers", "10", "--window", "8", "--seconds", "0.3")

IDLE_TIMEOUT = 5.0
"""Seconds that a server may stay busy after a load before it is replaced by a new one."""


class LoadFailed(Exception):
    """A load produced no figures; the message says why."""


@dataclass(frozen=True)
class Cores:
    """The processor core of the server and that of the load generator."""

    server: int
    load: int

    @classmethod
    def available(cls) -> "Cores":
        """Take the first two cores that this process may use, or the only one twice."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[min(1, len(cores) - 1)])

    @property
    def shared(self) -> bool:
        """Whether both run on the same core."""
        return self.server == self.load


@dataclass(frozen=True)
class Runner:
    """Measures scenarios of peers.

    Args:
        seconds: How long each scenario is measured, unless the scenario determines that itself.
        say: Called with each line of progress.
    """

    cores: Cores
    seconds: float
    say: Callable[[str], None]

    def run(
        self, peers: Sequence[Peer], scenarios: Sequence[Scenario], runs: int, results: Results
    ) -> None:
        """Measure everything ``runs`` times, in each run peer by peer."""
        for number in range(1, runs + 1):
            for peer in peers:
                self.say(f"run {number} of {runs}: {peer.title}")
                for session in _sessions(peer, scenarios):
                    self._serve(peer, session, number, results)

    def run_side_by_side(
        self, peers: Sequence[Peer], scenarios: Sequence[Scenario], runs: int, results: Results
    ) -> None:
        """Measure everything ``runs`` times, in each run scenario by scenario.

        The peers follow each other within seconds, each on a server of its own, and swap places
        from run to run. That shows small differences, which `run` would lose in the noise.
        """
        for number in range(1, runs + 1):
            order = peers if number % 2 else peers[::-1]
            for scenario in scenarios:
                for peer in order:
                    if scenario.takes(peer):
                        self.say(f"run {number} of {runs}: {peer.title}")
                        self._serve(peer, [scenario], number, results)

    def _serve(
        self, peer: Peer, scenarios: Sequence[Scenario], number: int, results: Results
    ) -> None:
        """Measure scenarios one after the other, on one server for as long as it can go on."""
        remaining = list(scenarios)
        while remaining:
            try:
                with running(peer, self.cores.server, self.cores.load) as server:
                    if not remaining[0].fresh_server:
                        self._load(server, peer, WARM_UP, timeout=30)
                    while remaining and self._measure(server, peer, remaining, number, results):
                        pass
            except (ServerFailed, LoadFailed) as error:
                self.say(f"  failed: {error}")
                for scenario in remaining:
                    results.fail(scenario.name, peer.name, number, str(error))
                return

    def _measure(
        self, server: Server, peer: Peer, remaining: list[Scenario], number: int, results: Results
    ) -> bool:
        """Measure the first remaining scenario; return whether the server can go on."""
        scenario = remaining.pop(0)
        seconds = ("--seconds", str(self.seconds))
        try:
            sample = self._load(server, peer, (*scenario.load, *seconds), scenario.timeout)
        except LoadFailed as error:
            self.say(f"  {scenario.title}: failed: {error}")
            results.fail(scenario.name, peer.name, number, str(error))
            return False
        results.add(scenario.name, peer.name, number, sample)
        metric = scenario.metrics[0]
        busy = "  (load generator busy)" if sample["generator_share"] > BUSY_GENERATOR else ""
        figure = f"{metric.show(sample[metric.key])} {metric.unit or metric.title}"
        self.say(f"  {scenario.title}: {figure}{busy}")
        return server.wait_until_idle(IDLE_TIMEOUT)

    def _load(self, server: Server, peer: Peer, arguments: Sequence[str], timeout: float) -> Sample:
        """Run the load generator; return its figures."""
        name, *options = arguments
        options += ["--dialect", peer.dialect, "--pid", str(server.pid)]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "bench.load", name, str(server.port), *options],
                cwd=PROJECT,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout + self.seconds,
                preexec_fn=lambda: os.sched_setaffinity(0, {self.cores.load}),
            )
        except subprocess.TimeoutExpired:
            raise LoadFailed(f"not finished after {timeout + self.seconds:.0f} s") from None
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise LoadFailed(f"{reason} (the server's last line: {server.last_words()})")
        sample: Sample = json.loads(done.stdout)
        return sample


def _sessions(peer: Peer, scenarios: Sequence[Scenario]) -> Iterator[list[Scenario]]:
    """Give the scenarios of a peer as lists, each for a server of its own.

    Scenarios with few clients come first, because thousands of clients leave traces in memory.
    """
    own = [scenario for scenario in scenarios if scenario.takes(peer)]
    own.sort(key=lambda scenario: scenario.connections)
    if shared := [scenario for scenario in own if not scenario.fresh_server]:
        yield shared
    for scenario in own:
        if scenario.fresh_server:
            yield [scenario]
