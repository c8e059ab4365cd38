"""What is not Stripe's gets in nowhere, and what Stripe signed is kept, however odd it is."""

import random
import string
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.lean_http import Connection, free_port
from billing_pipeline_tests.storm.figures import Figures
from billing_pipeline_tests.storm.machines import ReceiverProcess
from billing_pipeline_tests.storm.sender import Parcel, Sender
from billing_pipeline_tests.web.receiver.receiving import KEYS, PATH, SECRET, database_url, event_body, signature

OTHER_SECRET = "whsec_" + "x" * 32
FUZZERS = 8
Make = Callable[[random.Random], tuple[bytes, bytes]]


def fuzz(warehouse: Warehouse, count: int, seed: int) -> Figures:
    """`count` requests that Stripe did not sign, or not like this, or not now."""
    figures = Figures("fuzz")
    statuses: Counter[int] = Counter()
    odd: list[str] = []
    foreign = [0]
    lock = threading.Lock()
    started = time.monotonic()

    def attack(number: int) -> None:
        drawn = random.Random(f"{seed}-{number}")
        with Connection(port) as connection:
            for _ in range(count // FUZZERS):
                name = drawn.choice(list(_ATTACKS))
                body, header = _ATTACKS[name](drawn)
                status = _status(connection, body, header)
                with lock:
                    if name == NOT_OURS and status == 200:
                        foreign[0] += 1
                        continue
                    statuses[status] += 1
                    if status not in (400, 413):
                        odd.append(f"{name}: {status}")

    with ReceiverProcess(database_url(warehouse), free_port()) as receiver:
        port = receiver.port
        threads = [threading.Thread(target=attack, args=(number,)) for number in range(FUZZERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        logged = receiver.logged()
        figures.expect("Traceback" not in logged, "an error was logged: " + logged[-2_000:])
        for piece in ("evt_", "invoice", SECRET, "fuzzed"):
            figures.expect(piece not in logged, f"{piece!r} of a refused request is in the log")
    stored = warehouse.scalar("SELECT count(*) FROM billing.stripe_events")
    kept = warehouse.scalar("SELECT count(*) FROM billing.stripe_foreign_events")
    figures.expect(0 < kept <= foreign[0], f"{foreign[0]} of live mode were acknowledged and {kept} kept; seed {seed}")
    accepted = sum(number for status, number in statuses.items() if 200 <= status < 300)
    failed = sum(number for status, number in statuses.items() if status >= 500)
    figures.expect(accepted == 0 and stored == 0, f"{accepted} were accepted, {stored} stored; seed {seed}: {odd[:5]}")
    figures.expect(failed == 0, f"{failed} got a 5xx; seed {seed}: {odd[:5]}")
    figures.expect(statuses[0] == 0, f"{statuses[0]} got no answer; seed {seed}: {odd[:5]}")
    figures.values = {
        "requests": sum(statuses.values()) + foreign[0],
        "accepted": accepted,
        "status_5xx": failed,
        "statuses": {str(status): number for status, number in sorted(statuses.items())},
        "requests_per_second": round(sum(statuses.values()) / (time.monotonic() - started)),
        "seed": seed,
    }
    return figures


def _status(connection: Connection, body: bytes, header: bytes) -> int:
    try:
        return connection.post(PATH, body, header)
    except OSError:
        return 0


def _noise(drawn: random.Random, most: int, *, line: bool) -> bytes:
    """Any bytes; within a header line not those that end it."""
    forbidden = b"\r\n\x00" if line else b""
    return bytes(byte for byte in drawn.randbytes(drawn.randrange(most)) if byte not in forbidden)


def _mutated(drawn: random.Random, content: bytes, alphabet: bytes) -> bytes:
    """One to four bytes other, more or fewer."""
    changed = bytearray(content)
    for _ in range(drawn.randrange(1, 5)):
        at = drawn.randrange(len(changed))
        how = drawn.randrange(3)
        if how == 0:
            changed[at] = drawn.choice([byte for byte in alphabet if byte != changed[at]])
        elif how == 1:
            del changed[at]
        else:
            changed.insert(at, drawn.choice(alphabet))
    return bytes(changed)


def _event(drawn: random.Random) -> bytes:
    return event_body(f"evt_{drawn.randrange(10**9)}", fuzzed=drawn.random())


def _noise_header(drawn: random.Random) -> tuple[bytes, bytes]:
    return _event(drawn), _noise(drawn, 300, line=True)


def _noise_items(drawn: random.Random) -> tuple[bytes, bytes]:
    pieces = ["t", "v1", "v0", "=", "==", ",", ",,", str(int(time.time())), "ab" * 32, "\xff", " ", "-1", "1e9", "t=1"]
    return _event(drawn), "".join(drawn.choices(pieces, k=drawn.randrange(12))).encode("latin-1")


def _other_secret(drawn: random.Random) -> tuple[bytes, bytes]:
    body = _event(drawn)
    return body, signature(body, OTHER_SECRET).encode()


def _mutated_other_secret(drawn: random.Random) -> tuple[bytes, bytes]:
    body = _event(drawn)
    alphabet = (string.hexdigits + string.punctuation + "tv01\xe9").encode("latin-1")
    return body, _mutated(drawn, signature(body, OTHER_SECRET).encode(), alphabet)


def _changed_body(drawn: random.Random) -> tuple[bytes, bytes]:
    body = _event(drawn)
    changed = _mutated(drawn, body, bytes(range(256)))
    return (changed if changed != body else body + b" "), signature(body).encode()


def _noise_body(drawn: random.Random) -> tuple[bytes, bytes]:
    return _noise(drawn, 2_000, line=False), signature(_event(drawn)).encode()


def _wrong_time(drawn: random.Random) -> tuple[bytes, bytes]:
    body = _event(drawn)
    off_s = drawn.choice([-1, 1]) * drawn.choice([330, 3_600, 86_400 * 365])
    return body, signature(body, at=time.time() + off_s).encode()


def _moved_time(drawn: random.Random) -> tuple[bytes, bytes]:
    body = _event(drawn)
    now = int(time.time())
    genuine = signature(body, at=now)
    return body, genuine.replace(f"t={now}", f"t={now + drawn.choice([-2, -1, 1, 2])}").encode()


def _other_scheme(drawn: random.Random) -> tuple[bytes, bytes]:
    body = _event(drawn)
    return body, signature(body).replace("v1=", drawn.choice(["v0=", "v2=", "V1=", "v1 =", "v1:"])).encode()


def _not_ascii(drawn: random.Random) -> tuple[bytes, bytes]:
    body = _event(drawn)
    return body, signature(body).encode() + b"," + drawn.choice([b"\xff=1", b"v1=\xc3\xa9", "t=\u0661".encode()])


def _not_utf8(drawn: random.Random) -> tuple[bytes, bytes]:
    """Signed, but JSON is UTF-8."""
    body = b'{"id": "evt_1", "fuzzed": "' + drawn.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xfe\xff"]) + b'"}'
    return body, signature(body).encode()


def _of_live_mode(drawn: random.Random) -> tuple[bytes, bytes]:
    body = event_body(f"evt_{drawn.randrange(10**9)}", livemode=True)
    return body, signature(body).encode()


NOT_OURS = "live mode"
"""Validly signed, and not of the receiver's mode: acknowledged, and kept without its body."""

_ATTACKS: dict[str, Make] = {
    "noise in the header": _noise_header,
    "pieces of a header": _noise_items,
    "another secret": _other_secret,
    "another secret, mutated": _mutated_other_secret,
    "a changed body": _changed_body,
    "noise for a body": _noise_body,
    "the wrong time": _wrong_time,
    "a moved timestamp": _moved_time,
    "another scheme": _other_scheme,
    "no ASCII": _not_ascii,
    "no UTF-8": _not_utf8,
    NOT_OURS: _of_live_mode,
}


def odd_json(warehouse: Warehouse, count: int, seed: int, process: Callable[[Warehouse], None]) -> Figures:
    """`count` validly signed bodies that a strict reader would stumble over: each stored as it is, none left undecided."""
    figures = Figures("odd_json")
    parcels = list(_odd_parcels(count, random.Random(seed)))
    with ReceiverProcess(database_url(warehouse), free_port()) as receiver:
        sent = Sender(receiver.port, within_s=60).deliver(parcels)
        figures.expect("Traceback" not in receiver.logged(), "an error was logged: " + receiver.logged()[-2_000:])
    cipher = EventCipher(KEYS)
    with warehouse.engine.connect() as connection:
        rows = (
            raw(connection)
            .execute(
                "SELECT event_id, key_id, body FROM billing.stripe_events"
                " UNION ALL SELECT event_id, key_id, body FROM billing.stripe_event_conflicts"
            )
            .fetchall()
        )
    stored = Counter(cipher.decrypt(event_id, key_id, body) for event_id, key_id, body in rows)
    figures.expect(set(sent.statuses) == {200}, f"answers were {dict(sent.statuses)}")
    wanted = {parcel.body for parcel in parcels}
    figures.expect(
        set(stored) == wanted, f"{len(wanted - set(stored))} of {len(wanted)} are not stored as sent; seed {seed}"
    )
    process(warehouse)
    states = {
        row["state"]: row["count"]
        for row in warehouse.rows("SELECT state, count(*) AS count FROM billing.stripe_event_work GROUP BY state")
    }
    figures.values = {
        "bodies": len(parcels),
        "stored": len(stored),
        "kept_aside": sum(stored.values()) - sum(states.values()),
        "states": states,
        "seed": seed,
    }
    return figures


def _odd_parcels(count: int, drawn: random.Random) -> Iterator[Parcel]:
    values = [
        r'"\u0000"', '"a\\u0000b"', "NaN", "Infinity", "-Infinity", r'"\ud800"', r'"\udfff\ud800"', "1e999", "-0",
        "9" * 5_000, "1" + "0" * 400 + ".5", "[" * 2_000 + "]" * 2_000, '""', "{}", "[]", "null", "true", '"\\\\u0000"',
        '"\u202e"', '"\x7f"', '"' + "x" * 70_000 + '"',
    ]  # fmt: skip
    places = [
        '{{"id": "{id}", "type": {value}, "livemode": false}}',
        '{{"id": "{id}", "type": "invoice.paid", "created": {value}, "livemode": false}}',
        '{{"id": "{id}", "type": "invoice.paid", "data": {{"object": {{"id": {value}}}}}, "livemode": false}}',
        '{{"id": "{id}", "type": "invoice.paid", "data": {value}}}',
        '{{"id": "{id}", "type": "invoice.paid", "request": {value}, "api_version": {value}}}',
        '{{"id": {value}, "nonce": "{id}", "type": "invoice.paid"}}',
        '{{"id": "evt_other", "id": "{id}", "type": {value}, "type": "invoice.paid", "livemode": true, "livemode": false}}',
        '{{"id": "{id}", "type": "customer.updated", {value}: 1}}',
        '{{"id": "{id}", "type": "charge.refunded", "data": {{"object": {{"id": "ch_1", "amount": {value}}}}}}}',
        '[{{"id": "{id}"}}, {value}]',
        '{{"id": "{id}"',
        "{id} {value}",
    ]
    for number in range(count):
        event_id = f"evt_odd_{number}"
        place = drawn.choice(places)
        yield Parcel(event_id, place.format(id=event_id, value=drawn.choice(values)).encode())
