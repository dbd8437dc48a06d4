"""The workbench of agents, policy editors and dispatchers, behind a login."""
