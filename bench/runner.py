"""The order of the measurements: interleaved, so that a busy moment affects all peers alike."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.peers import PROJECT, Peer
from bench.results import BUSY_GENERATOR, Results, Sample
from bench.scenarios import Scenario
from bench.servers import Server, ServerFailed, running

WARM_UP = ("fanout", "--subscribers", "10", "--window", "8", "--seconds", "0.3")

SUPERVISION = 0.02
"""Seconds between two looks at a server that a load stops, to start it again."""

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
                    if scenario.measures(peer):
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
            arguments, restarts = (*scenario.load, *seconds), scenario.restarts
            sample = self._load(server, peer, arguments, scenario.timeout, restarts=restarts)
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

    def _load(
        self,
        server: Server,
        peer: Peer,
        arguments: Sequence[str],
        timeout: float,
        *,
        restarts: bool = False,
    ) -> Sample:
        """Run the load generator; return its figures.

        Args:
            server: What it is run against.
            peer: Whose server that is.
            arguments: The name of the load and its options.
            timeout: Seconds that it may take in addition to the measurement itself.
            restarts: Whether to start the server again when the load stops it.

        Raises:
            LoadFailed: It gives no figures.
        """
        name, *options = arguments
        options += ["--dialect", peer.dialect, "--pid", str(server.pid)]
        for other in server.others:
            options += ["--other-port", str(other.port), "--other-pid", str(other.pid)]
        if server.broker_pid:
            options += ["--broker-pid", str(server.broker_pid)]
        with subprocess.Popen(
            [sys.executable, "-m", "bench.load", name, str(server.port), *options],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {self.cores.load}),
        ) as process:
            try:
                output, errors = self._wait(process, server, timeout + self.seconds, restarts)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            reason = (errors.strip().splitlines() or ["no output"])[-1]
            raise LoadFailed(f"{reason} (the server's last line: {server.last_words()})")
        sample: Sample = json.loads(output)
        return sample

    def _wait(
        self, process: subprocess.Popen[str], server: Server, timeout: float, restarts: bool
    ) -> tuple[str, str]:
        """Wait for the load; return its output, and start the server again when that is asked."""
        deadline = time.monotonic() + timeout
        while (remaining := deadline - time.monotonic()) > 0:
            try:
                return process.communicate(timeout=SUPERVISION if restarts else remaining)
            except subprocess.TimeoutExpired:
                if restarts:
                    server.restart_if_ended()
        raise LoadFailed(f"not finished after {timeout:.0f} s")


def _sessions(peer: Peer, scenarios: Sequence[Scenario]) -> Iterator[list[Scenario]]:
    """Give the scenarios of a peer as lists, each for a server of its own.

    Scenarios with few clients come first, because thousands of clients leave traces in memory.
    """
    own = [scenario for scenario in scenarios if scenario.measures(peer)]
    own.sort(key=lambda scenario: scenario.connections)
    if shared := [scenario for scenario in own if not scenario.fresh_server]:
        yield shared
    for scenario in own:
        if scenario.fresh_server:
            yield [scenario]
