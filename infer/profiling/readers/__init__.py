"""One file per format of a profiler, found by the content of what is read.

A reader has ``is_it(head)``, which sees the first characters of a file, and ``read(path)``, which
gives a :class:`portproof.infer.profiling.op_times.Profile`.
"""
