"""The receiver under load: secrets change, others are slow, and it starts fast and stays small."""

import random
import resource
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.lean_http import HOST, Connection, free_port
from billing_pipeline_tests.storm.figures import Figures
from billing_pipeline_tests.storm.machines import ReceiverProcess
from billing_pipeline_tests.storm.sender import Parcel, Sender, percentile
from billing_pipeline_tests.web.receiver.receiving import SECRET, database_url, event_body, signature

OLD, NEW = SECRET, "whsec_" + "n" * 32
GOOD_P99_MAX_S = 1.0
START_MAX_S = 1.0
RSS_MAX_MIB = 80.0


def parcels(name: str, count: int) -> list[Parcel]:
    """Events of their own."""
    return [Parcel(f"evt_{name}_{n}", event_body(f"evt_{name}_{n}")) for n in range(count)]


def rotation(warehouse: Warehouse, per_second: int, seconds: int) -> Figures:
    """A secret is replaced by another, while events come in at a steady rate.

    As docs/webhooks.md tells an operator to: a receiver that knows both takes over from the one that knows the old one,
    Stripe signs with the new one, and a receiver that knows only the new one takes over.
    """
    figures = Figures("rotation")
    url, port = database_url(warehouse), free_port()
    signing = [OLD]
    events = parcels("rotation", per_second * seconds)
    sender = Sender(port, secret=lambda: signing[0], per_second=per_second)
    with ReceiverProcess(url, port, OLD) as first:
        delivering = threading.Thread(target=sender.deliver, args=(events,))
        delivering.start()
        time.sleep(seconds * 0.25)
        with ReceiverProcess(url, port, f"{NEW},{OLD}") as both:
            first.stop()
            signing[0] = NEW
            time.sleep(seconds * 0.25)
            with ReceiverProcess(url, port, NEW) as last:
                both.stop()
                delivering.join()
                figures.expect(_status(last.port, OLD) == 400, "the old secret still opens")
    sent = sender.sent
    stored = warehouse.scalar("SELECT count(*) FROM billing.stripe_events")
    figures.expect(sent.refused == 0, f"{sent.refused} valid events were refused: {dict(sent.statuses)}")
    figures.expect(stored == len(events) == len(sent.acknowledged), f"{stored} of {len(events)} events are stored")
    figures.values = {
        "requests_per_second": round(len(events) / sent.seconds),
        "events": len(events),
        "stored": stored,
        "refused": sent.refused,
        "attempts_unanswered": sent.unanswered,
        "p99_ms": round(percentile(sent.latencies_s, 0.99) * 1000, 1),
    }
    return figures


def _status(port: int, secret: str) -> int:
    body = event_body("evt_with_the_old_secret")
    with Connection(port) as connection:
        return connection.post("/stripe/webhook", body, signature(body, secret).encode())


def slow_connections(warehouse: Warehouse, slow: int, per_second: int, seconds: int, seed: int) -> Figures:
    """`slow` connections that send a byte now and then, and good senders beside them."""
    figures = Figures("slow_connections")
    events = parcels("slow", per_second * seconds)
    with ReceiverProcess(database_url(warehouse), free_port()) as receiver:
        alone = Sender(receiver.port, per_second=per_second).deliver(parcels("alone", per_second * min(seconds, 3)))
        with _dawdlers(receiver.port, slow, random.Random(seed)) as opened:
            sent = Sender(receiver.port, per_second=per_second).deliver(events)
            open_at_the_end = sum(_is_open(connection) for connection in opened())
        rss_mib = receiver.rss_mib()
    p99_s = percentile(sent.latencies_s, 0.99)
    figures.expect(p99_s < GOOD_P99_MAX_S, f"the p99 of good requests is {p99_s:.2f} s")
    figures.expect(set(sent.statuses) == {200} and not sent.unanswered, f"good ones got {dict(sent.statuses)}")
    figures.expect(rss_mib < RSS_MAX_MIB, f"it grew to {rss_mib:.0f} MiB")
    figures.values = {
        "slow_connections": slow,
        "open_at_the_end": open_at_the_end,
        "good_requests": len(events),
        "good_per_second": per_second,
        "good_p50_ms": round(percentile(sent.latencies_s, 0.5) * 1000, 1),
        "good_p99_ms": round(p99_s * 1000, 1),
        "good_p99_ms_alone": round(percentile(alone.latencies_s, 0.99) * 1000, 1),
        "rss_mib": round(rss_mib, 1),
    }
    return figures


@contextmanager
def _dawdlers(port: int, count: int, drawn: random.Random) -> Iterator[Callable[[], list[socket.socket]]]:
    """Connections in every stage of a request, which each send a byte every half second and come again when closed."""
    stop = threading.Event()
    body = event_body("evt_never_whole")
    head = f"POST /stripe/webhook HTTP/1.1\r\nHost: slow\r\nContent-Length: {len(body)}\r\nStripe-Signature: {signature(body)}\r\n\r\n"
    request = head.encode() + body[:-1]

    def connect() -> tuple[socket.socket, int]:
        opened = socket.create_connection((HOST, port), 10)
        at = drawn.randrange(len(request) - 40)
        opened.sendall(request[:at])
        return opened, at

    open_now = [connect() for _ in range(count)]

    def trickle() -> None:
        while not stop.wait(0.5):
            for number, (opened, at) in enumerate(open_now):
                try:
                    opened.sendall(request[at : at + 1])
                    open_now[number] = opened, at + 1
                except OSError:
                    opened.close()
                    with suppress(OSError):
                        open_now[number] = connect()

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield lambda: [opened for opened, _ in open_now]
    finally:
        stop.set()
        thread.join()
        for opened, _ in open_now:
            opened.close()


def _is_open(connection: socket.socket) -> bool:
    """Whether the other side has not closed it."""
    connection.setblocking(False)
    try:
        return connection.recv(9_999) != b"" and _is_open(connection)
    except BlockingIOError:
        return True
    except OSError:
        return False


def start_and_memory(warehouse: Warehouse, starts: int, events: int) -> Figures:
    """How long until it answers, and what it holds once it has worked.

    What it needs of a processor is held to the limit; how long that takes depends on who else needs one.
    """
    figures = Figures("start_and_memory")
    url, port = database_url(warehouse), free_port()
    took_s, cpu_s = [], []
    for _ in range(starts):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with ReceiverProcess(url, port) as receiver:
            took_s.append(receiver.started_in_s)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    with ReceiverProcess(url, port) as receiver:
        at_start_mib = receiver.rss_mib()
        sent = Sender(port).deliver(parcels("memory", events))
        after_mib = receiver.rss_mib()
        large = [Parcel(f"evt_large_{n}", event_body(f"evt_large_{n}", padding="x" * 900_000)) for n in range(40)]
        Sender(port, workers=8).deliver(large)
        after_large_mib = receiver.rss_mib()
    median_s = statistics.median(took_s)
    figures.expect(max(cpu_s) < START_MAX_S, f"its start takes {max(cpu_s):.2f} s of a processor")
    figures.expect(
        max(after_mib, after_large_mib) < RSS_MAX_MIB, f"it holds {after_mib:.0f}, {after_large_mib:.0f} MiB"
    )
    figures.values = {
        "start_s_median": round(median_s, 2),
        "start_cpu_s": round(statistics.median(cpu_s), 2),
        "rss_mib_at_start": round(at_start_mib, 1),
        "rss_mib_after_events": round(after_mib, 1),
        "rss_mib_after_large_bodies": round(after_large_mib, 1),
        "events_per_second": round(len(sent.latencies_s) / sent.seconds),
        "p50_ms": round(percentile(sent.latencies_s, 0.5) * 1000, 1),
        "p99_ms": round(percentile(sent.latencies_s, 0.99) * 1000, 1),
    }
    return figures
