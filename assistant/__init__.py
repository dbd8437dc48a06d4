"""The application: conversations, tickets, dispatch, staff workbench, and the one place that wires them (`app.py`)."""
