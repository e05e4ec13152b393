"""One file per form of a suite's page, found by its name (``form`` of a suite file).

A form has ``write(suite, rows, out)``: it writes ``out/README.md``, and what belongs to it, from
what is done so far. It is called after every model.
"""
