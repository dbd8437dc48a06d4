"""The dialogue engine's custom actions: thin; they call `kb` and `assistant.tickets` and hold no business rules."""
