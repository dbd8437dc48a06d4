"""Learning from 退单: what units gave back, how it was ruled, and what the responsibility matrix should learn of it.

`cases.py` reads returns and rulings from the history, `report.py` says whether they fall, `suggesting.py` proposes
changes, `trial.py` tries one on the frozen test set; `service.py` keeps proposals and puts those in use into the city
of every application process. Nothing changes by itself.
"""
