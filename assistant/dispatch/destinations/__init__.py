"""Where outbox rows go: one file per kind of destination, each with `send` and `status`."""
