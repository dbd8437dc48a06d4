"""The ticket domain: fields, states, numbering, routing, deadlines. Imports no web framework, database or engine."""
