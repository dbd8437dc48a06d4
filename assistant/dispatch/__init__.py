"""From a ticket to the city's dispatch API: outbox, destinations, the built-in desk, and the way back."""
