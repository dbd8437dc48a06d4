"""The policy knowledge base: import, passages, validity, search, cited answers.

Knows no dialogue engine, tickets or channels.
"""
