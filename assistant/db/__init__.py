"""The one database: tables (`models`), sessions (`session`), migrations, and the stores that the domain asks for.

Imported by the application and by `kb`; imports neither.
"""
