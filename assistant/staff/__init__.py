"""The workbench of agents, policy editors and dispatchers, behind a login.

Owns accounts, the audit trail, the login and the pages under `/staff`. It works on conversations, tickets, the desk and
the knowledge base through their services (`services.py`) and never past them.
"""
