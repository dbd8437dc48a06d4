"""The policy knowledge base: import, passages, validity, search, cited answers. Knows no engine, tickets or channels."""
