"""What differs by task in a port: one file a task, found by the ``task`` of a model card.

A task's module has:

``exported(run)``
    if the model file can show that the task is not its own: :class:`InputError`, before the data
    set is run;
``begin(run)``
    refuses, before anything runs, a model that the task cannot judge
    (:class:`portproof.core.errors.InputError`), and yields what a user should know then;
``measure(run, side, batch)``
    the steps that make a side's figures from its results;
``compare(run, side)``
    the step that compares a side with the reference, sample by sample;
``gate(run, side)``
    the verdict over that comparison, as a :class:`portproof.rundir.gates.Gate`.
"""
