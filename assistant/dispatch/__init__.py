"""From a ticket to whoever acts on it, and back: outbox, destinations, poller, signed reports, the built-in desk.

Owns the tables `outbox` (after the ticket domain wrote a row), `desk_requests` and `webhook_receipts`. Tickets
themselves are changed only through the ticket service, which `poller` and `reports` are given. The two sides of the
desk meet on the wire alone: `sender`, `poller` and `destinations` never read `desk_requests`; `desk` and `desk_server`
never read tickets or the outbox.
"""
