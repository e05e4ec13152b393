"""One file per log family. A new family is a new file here, found by its name.

A family module has:

``FAMILY``
    its name in results;
``MARKS``
    strings of which every line that the family wants holds at least one (they make reading fast: no other line is looked at);
``Reader(source)``
    with ``feed(line)``, called with each :class:`portproof.logs.lines.Line` that holds a mark, in order, and ``runs()``, which ends the
    file and returns what was found, an empty list where the lines were not this family's after all;
``from_json(data, text, source)``, optional
    for a file that is one JSON value: the runs in it, or None when it is not this family's.

Modules without ``FAMILY`` are helpers.
"""
