"""Services that every stage uses. They know no word of the trade: errors, files, options, progress,
text, external programs.
"""
