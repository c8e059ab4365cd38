-- Everything the emulator knows. `objects.body` is the JSON that Stripe's API returns; the other columns are what the
-- API filters by, derived from the body in indexing.py. `private` is what Stripe knows but never returns.
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created INTEGER NOT NULL,
    customer TEXT,
    parent TEXT,
    status TEXT,
    tag TEXT,
    due_at INTEGER,
    body TEXT NOT NULL,
    private TEXT
);
CREATE INDEX IF NOT EXISTS objects_by_created ON objects (kind, created, seq);
CREATE INDEX IF NOT EXISTS objects_by_customer ON objects (kind, customer, created, seq) WHERE customer IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_parent ON objects (kind, parent, created, seq) WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_status ON objects (kind, status, created, seq) WHERE status IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_tag ON objects (kind, tag, created, seq) WHERE tag IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_due ON objects (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY,
    created REAL NOT NULL,
    fingerprint TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    request_id TEXT NOT NULL,
    status INTEGER, -- NULL while the first request is still executing
    body TEXT,
    holder_pid INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_keys_by_age ON idempotency_keys (created);
CREATE TABLE IF NOT EXISTS deliveries (
    delivery_id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    due_at REAL NOT NULL,
    first_due_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    leased_until REAL NOT NULL DEFAULT 0, -- wall clock: a process that died with a lease frees it by time
    state TEXT NOT NULL DEFAULT 'pending', -- pending, delivered, failed
    last_answer TEXT
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event_id);
CREATE TABLE IF NOT EXISTS faults (
    fault_id INTEGER PRIMARY KEY AUTOINCREMENT,
    rule TEXT NOT NULL,
    seen INTEGER NOT NULL DEFAULT 0,
    fired INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS calls (
    call_id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    idempotency_key TEXT,
    request_id TEXT NOT NULL,
    status INTEGER, -- NULL: the connection was dropped without an answer
    replayed INTEGER NOT NULL,
    fault TEXT,
    seconds REAL NOT NULL
);
