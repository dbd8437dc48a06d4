"""Prometheus figures of dispatch; labels hold names of destinations and short codes, never anything about a ticket."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from assistant.dispatch.outbox import Depth


class DispatchMetrics:
    """Make one per process. `registry`: where `/metrics` reads from; None keeps the figures to this object."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.sent = Counter("minsheng_outbox_sent", "Rows delivered", ["destination", "operation"], registry=registry)
        self.failed = Counter(
            "minsheng_outbox_failed", "Attempts that will be repeated", ["destination", "code"], registry=registry
        )
        self.dead = Counter("minsheng_outbox_dead", "Rows given up", ["destination", "code"], registry=registry)
        self.delivery_s = Histogram(
            "minsheng_outbox_delivery_seconds", "Time of one attempt", ["destination"], registry=registry
        )
        self.rows = Gauge("minsheng_outbox_rows", "Rows not delivered, by state", ["state"], registry=registry)
        self.oldest_s = Gauge(
            "minsheng_outbox_oldest_seconds", "Age of the oldest row still to be delivered", registry=registry
        )
        self.polled = Counter(
            "minsheng_dispatch_polls", "Status look-ups", ["destination", "outcome"], registry=registry
        )
        self.states = Counter(
            "minsheng_dispatch_states", "State changes brought back", ["destination", "state"], registry=registry
        )

    def show_depth(self, depth: Depth) -> None:
        for state, count in depth.by_state.items():
            self.rows.labels(state).set(count)
        self.oldest_s.set(depth.oldest_s)
