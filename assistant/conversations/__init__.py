"""Between residents and the dialogue engine: store first, guard the input, keep the order, hand over to people."""
