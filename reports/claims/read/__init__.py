"""What a document shows: tables, logs, worked figures and prose."""
