"""The one-machine stack: database, broker, S3 and our own processes as children of one supervisor."""
