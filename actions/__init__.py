"""The dialogue engine's custom actions, and the two addresses under which the engine reaches the application.

Owns what the assistant says and asks, turn by turn. Thin: actions call the knowledge base and the tickets through
`services.ActionServices` and hold no business rules. Must not touch the database, the channels or the web pages.
"""
