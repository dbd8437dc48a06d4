"""Rasa's own process: the environment it runs in, its launcher, and what we mend in it.

Runs in `engine/.venv` (see `docs/decisions/0002-engine-environment.md`), never in the application's environment. Owns
nothing of the dialogue: that is `config.yml`, `domain.yml` and `training_data/`. Must not import `assistant`, `kb`,
`actions` or `channels`.
"""
