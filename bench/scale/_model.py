"""What happens when every host of a cluster asks for one object at the same moment: a simulation.

Time passes from event to event. Between two events every transfer has one rate: the sender's link divided by the
transfers that it serves, not more than the receiver takes, and all of them scaled down where the network's core would
carry more than it can. The directory is one process that handles one message after the other, as Dask's scheduler does.
Who is told to fetch from whom follows `python/onecopy/_hosts/directory.py`: nobody serves more than `serves` at once,
those who have received serve others, and the first in line is asked first.
"""
from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections import deque

import numpy as np


@dataclasses.dataclass(frozen=True)
class Assumptions:
    hosts: int = 100
    gigabytes: float = 1.0          # of the object, 1e9 bytes
    link_gbit: float = 10.0         # of each host, in each direction
    oversubscription: float = 4.0   # links of all hosts together / what the core of the network carries
    store_gbyte_s: float = 2.0      # what a host writes into its store
    latency_ms: float = 0.2         # one way
    chunk_mib: float = 8.0          # onecopy.chunk
    chunks_ahead: int = 3           # onecopy.chunks-ahead
    serves: int = 2                 # transfers that one host serves at once
    message_us: float = 250.0       # of the scheduler's time for each message to the directory
    killed: float = 0.0             # part of the hosts that go silent during the transfer, the first one excepted
    read_timeout: float = 30.0      # onecopy.read-timeout: a silent source is replaced after that
    ttl: float = 300.0              # after which the scheduler gives a silent worker up (Dask: worker-ttl)
    seed: int = 1


@dataclasses.dataclass
class Outcome:
    seconds: float            # until the last host that lives has the object
    median: float             # until half of them have it
    first_link: float         # gigabytes that the first host sent
    moved: float              # gigabytes over all links
    messages: int             # that the directory handled
    directory_busy: float     # seconds of its time
    delayed: int              # hosts whose source went silent


class Simulation:
    def __init__(self, assumed: Assumptions) -> None:
        self.a = assumed
        n = assumed.hosts
        self.size = assumed.gigabytes * 1e9
        self.link = assumed.link_gbit / 8 * 1e9
        self.core = n * self.link / assumed.oversubscription
        # One answer on the way and so many pieces asked for ahead, for each way there and back.
        window = assumed.chunk_mib * 2**20 * (1 + assumed.chunks_ahead)
        self.most = min(assumed.store_gbyte_s * 1e9, window / (2 * assumed.latency_ms / 1e3))
        self.latency, self.cost = assumed.latency_ms / 1e3, assumed.message_us / 1e6
        self.now, self.directory_free, self.messages = 0.0, 0.0, 0
        self.source = np.full(n, -1)          # of the host's transfer; -1: none
        self.left = np.full(n, self.size)     # bytes
        self.sent = np.zeros(n)
        self.slots = np.zeros(n, dtype=int)   # fetches that the directory counts for a store
        self.has_at = np.full(n, np.inf)
        self.has_at[0] = 0.0
        self.alive = np.ones(n, dtype=bool)
        self.line, self.waiting = deque([0]), deque()
        self.parked: set[int] = set()
        self.delayed = 0
        self.events: list[tuple[float, int, str, int]] = []
        self.counter = itertools.count()

    def later(self, when: float, what: str, host: int) -> None:
        heapq.heappush(self.events, (when, next(self.counter), what, host))

    def message(self, when: float, what: str, host: int) -> None:
        """A message that arrives at `when`; handled once the directory has time."""
        self.messages += 1
        self.directory_free = max(self.directory_free, when) + self.cost
        self.later(self.directory_free, what, host)

    # ---------------------------------------------------------------- what the directory does

    def give_source(self, host: int) -> bool:
        for _ in range(len(self.line)):
            store = self.line.popleft()
            if self.slots[store] >= self.a.serves:
                self.parked.add(store)
                continue
            self.line.append(store)
            if store != self.silent_source.get(host):
                self.slots[store] += 1
                self.taken[host] = store
                self.later(self.now + self.latency, "start", host)
                return True
        return False

    def end_slot(self, host: int) -> None:
        store = self.taken.pop(host, None)
        if store is None:
            return
        self.slots[store] -= 1
        if store in self.parked:
            self.parked.discard(store)
            self.line.append(store)

    def wake(self, count: int) -> None:
        for _ in range(min(count, len(self.waiting))):
            self.message(self.now, "find", self.waiting.popleft())

    # ---------------------------------------------------------------- time

    def rates(self, active: np.ndarray) -> np.ndarray:
        load = np.bincount(self.source[active], minlength=self.a.hosts)
        rate = np.minimum(self.link / load[self.source[active]], min(self.most, self.link))
        rate[~self.alive[self.source[active]]] = 0.0
        total = rate.sum()
        return rate * min(1.0, self.core / total) if total > 0 else rate

    def run(self) -> Outcome:
        a = self.a
        self.silent_source: dict[int, int] = {}
        self.taken: dict[int, int] = {}
        random = np.random.default_rng(a.seed)
        if a.killed:
            # At any time of a transfer to all that nothing happened to.
            ideal = simulate(dataclasses.replace(a, killed=0.0)).seconds
            doomed = 1 + random.choice(a.hosts - 1, round(a.killed * a.hosts), replace=False)
            for host, when in zip(doomed, random.uniform(0, ideal, len(doomed))):
                self.later(when, "die", int(host))
        for host in range(1, a.hosts):
            self.later(self.latency, "ask", host)
        while True:
            active = np.flatnonzero(self.source >= 0)
            rate = self.rates(active) if len(active) else np.zeros(0)
            ends = np.inf
            if len(active) and rate.any():
                with np.errstate(divide="ignore"):
                    ends = self.now + float((self.left[active] / rate).min())
            if not self.events and ends == np.inf:
                break
            until = min(ends, self.events[0][0] if self.events else np.inf)
            moved = rate * (until - self.now)
            self.left[active] -= moved
            np.add.at(self.sent, self.source[active], moved)
            self.now = until
            if ends <= until:
                for host in active[self.left[active] <= self.size * 1e-9]:
                    self.source[host] = -1
                    self.has_at[host] = self.now
                    self.message(self.now + self.latency, "has", int(host))
            while self.events and self.events[0][0] <= self.now:
                _, _, what, host = heapq.heappop(self.events)
                getattr(self, "on_" + what)(host)
        living = self.has_at[self.alive]
        return Outcome(float(living.max()), float(np.median(living)), float(self.sent[0] / 1e9),
                       float(self.sent.sum() / 1e9), self.messages, self.messages * self.cost, self.delayed)

    def on_ask(self, host: int) -> None:
        self.message(self.now, "find", host)

    def on_find(self, host: int) -> None:
        if self.alive[host] and not self.give_source(host):
            self.waiting.append(host)

    def on_start(self, host: int) -> None:
        if not self.alive[host]:
            return
        self.source[host] = self.taken[host]
        if not self.alive[self.taken[host]]:
            self.later(self.now + self.a.read_timeout, "silent", host)

    def on_has(self, host: int) -> None:
        self.end_slot(host)
        if self.alive[host]:
            self.line.append(host)
            self.wake(self.a.serves + 1)
        else:
            self.wake(1)

    def on_die(self, host: int) -> None:
        self.alive[host] = False
        self.source[host] = -1
        if host in self.taken:  # the directory counts the fetch until it gives the worker up
            self.later(self.now + self.a.ttl, "given_up", host)
        for other in np.flatnonzero(self.source == host):
            self.later(self.now + self.a.read_timeout, "silent", int(other))

    def on_given_up(self, host: int) -> None:
        self.end_slot(host)
        self.wake(1)

    def on_silent(self, host: int) -> None:
        """The source did not answer: another one goes on where it stopped."""
        if not self.alive[host] or self.source[host] < 0 or self.alive[self.source[host]]:
            return
        self.delayed += 1
        self.silent_source[host] = int(self.source[host])
        self.source[host] = -1
        self.end_slot(host)
        self.message(self.now + self.latency, "find", host)


def simulate(assumed: Assumptions) -> Outcome:
    return Simulation(assumed).run()
