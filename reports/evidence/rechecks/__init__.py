"""Figures derived again from what lies below them: one file a stage, found by the stage's name as
its sidecars give it.

Each defines ``recheck(stage, run_dir)``, which yields a
:class:`portproof.reports.evidence.findings.Finding` for everything that comes out otherwise, and
for everything that it could not derive. The hashes of the files themselves are not its matter.
"""
