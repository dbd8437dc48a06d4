"""Tests that run in Rasa's environment, which has no pytest: `tests/engine/test_inside.py` runs them with unittest."""
