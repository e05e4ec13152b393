"""Post-processing, one file for each ``kind`` of :mod:`portproof.postprocess`, found by its name.

A kind's module has:

``PREDICTION``
    the kind of prediction that it makes: a module of ``metrics/predictions``;
``decoder(settings, folder)``
    a function of a sample's outputs (arrays by name) and its
    :class:`portproof.metrics.decoding.arrays.Sample`, which gives the prediction. It raises
    :class:`portproof.core.errors.InputError` for outputs of another form, and says which was
    expected. File names of the settings are relative to ``folder``;
``FILES``
    the fields of the settings that name files, if there are any.
"""
