"""The rules of the audit. Every module here has a function ``check(facts)``; a new one is found."""
