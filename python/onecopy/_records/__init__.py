"""The fields of records and the waits of locks."""
