"""From a ticket to the city's dispatch API: outbox, destinations, the built-in desk, and the way back.

Owns the tables `outbox` (after the ticket domain wrote a row) and `desk_requests`. Tickets themselves are changed only
through the ticket service, which `poller` is given. The two sides meet on the wire alone: `sender`, `poller` and
`destinations` never read `desk_requests`; `desk` and `open311*` never read tickets or the outbox.
"""
