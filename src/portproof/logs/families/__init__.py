"""One file per log family. A new family is a new file here, found by its name.

A family module has:

``FAMILY``
    its name in results;
``MARKS``
    strings of which every line that the family wants holds at least one (they make reading fast:
    no other line is looked at);
``Reader(source)``
    with ``feed(line)``, called in order with each :class:`portproof.logs.lines.Line` that holds a
    mark, and ``runs()``, which ends the file and returns the runs found, an empty list if the lines
    are not of this family;
``from_json(data, text, source)``, optional
    for a file that is one JSON value: the runs in it, or None when it is not this family's.

Modules without ``FAMILY`` are helpers.
"""
