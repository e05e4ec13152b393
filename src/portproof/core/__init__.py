"""Services for every stage: errors, files, options, progress, text, external programs."""
