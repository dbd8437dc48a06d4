"""What staff teach the assistant while it runs: categories and intents with a handful of examples.

`service.py` keeps them in the database, learns them (`nlu.trial`), and puts those in use into the language model, the
city and the dispatch desk's services of every application process.
"""
