"""Every metric, declared once. docs/monitoring.md lists them; a test compares."""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BYTES = tuple(float(2**power) for power in range(10, 27, 2))


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"ingestd_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"ingestd_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"ingestd_{name}", text, labels, buckets=buckets, registry=REGISTRY)


# Mail

MESSAGES = _counter("messages", "Mails by how they came and what became of them", "origin", "outcome")
MESSAGE_BYTES = _histogram("message_bytes", "Octets of a mail as received", _BYTES)
INGEST_SECONDS = _histogram("ingest_seconds", "Time by stage: parse and total of a mail, commit", _SECONDS, "stage")
BATCH_MAILS = _histogram("batch_mails", "Mails in one transaction", (1, 2, 4, 8, 16, 32, 64, 128, 256))
PARSE_DEFECTS = _counter("parse_defects", "Defects of mails that were stored", "kind")
LAST_COMMIT = _gauge("last_commit_timestamp_seconds", "When mail was last committed, since the epoch")

# The queue

QUEUE_MAILS = _gauge("queue_mails", "Mails that are received or wait for their commit")
QUEUE_MAILS_LIMIT = _gauge("queue_mails_limit", "limits.queue_mails")
QUEUE_BYTES = _gauge("queue_bytes", "Octets of memory that these mails are counted with")
QUEUE_BYTES_LIMIT = _gauge("queue_bytes_limit", "limits.queue_bytes")
WAITING_SECONDS = _gauge("oldest_waiting_seconds", "For how long the oldest whole mail has waited for its commit")

# Connections

SESSIONS = _gauge("smtp_sessions", "Connections now", "protocol")
SESSIONS_LIMIT = _gauge("smtp_sessions_limit", "limits.connections")
CONNECTIONS = _counter("smtp_connections", "Connections by outcome: accepted, refused", "outcome")
REPLIES = _counter("smtp_replies", "Replies by their code", "code")
HTTP_RESPONSES = _counter("http_responses", "Answers of the API by method and status", "method", "status")
HTTP_SECONDS = _histogram("http_seconds", "Time from a request's head to its answer", _SECONDS)

# The database, as it was found last

DATABASE_UP = _gauge("db_up", "1 when mail could be stored at the last look")
POOL_CONNECTIONS = _gauge("db_pool_connections", "Connections to the database by state: idle, used", "state")
SERIES_OPEN = _gauge("series_open", "Series that lack a patch")
EVENTS_LAST_ID = _gauge("events_last_id", "Cursor of the last event")
QUARANTINED = _gauge("quarantined_mails", "Mails in quarantine")

# The daemon

BUILD_INFO = _gauge("build_info", "1; the labels say which ingestd it is", "version", "schema", "parser", "grouping")
RELOADS = _counter("reloads", "Reloads of the configuration by outcome: done, failed", "outcome")
READY = _gauge("ready", "1 when a mail would be accepted now, as /readyz says")

VERSION = version("ingestd")


def render() -> bytes:
    """All of it, as Prometheus reads it."""
    return generate_latest(REGISTRY)


__all__ = ["CONTENT_TYPE", "REGISTRY", "VERSION", "render"]
