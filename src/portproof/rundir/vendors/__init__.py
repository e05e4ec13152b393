"""What differs by vendor in a port: one file a vendor, found by the ``vendor`` of a target.

A vendor's module has:

``BOUNDARY``
    the timing boundary of its own columns in the table: ``call``, timed in alternation with the
    reference, or ``device``, timed alone;
``OPTIONS``
    the options of ``port`` that have a meaning for it, as :class:`Settings` names them;
``CAN_REHEARSE``
    whether its device and tools can be simulated;
``sides(settings, target)``
    the sides of a target: first the one that is compared, then those that are only timed;
``steps(run, target)``
    from the ONNX file to the results of the accuracy runs;
``benches(run, target)``
    the steps that time every batch;
``boards(run, target)``
    whether the chips of a board are timed together too;
``lacking()``
    if steps of it need a device: which program of the device this host lacks (empty: none);
``check(target)``
    if some of its targets can never run on this host: :class:`InputError`, before anything runs.
"""
