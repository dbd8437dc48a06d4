"""Prometheus metrics of conversations; no label holds anything a resident wrote."""

from prometheus_client import Counter, Histogram

TURNS = Counter("minsheng_turns_total", "Residents' messages by outcome", ["outcome"])
TURN_SECONDS = Histogram(
    "minsheng_turn_seconds",
    "Time from a message to its answer, in seconds",
    buckets=(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
