"""The servers that the stack runs from wheels: PostgreSQL, broker, S3 and Flower."""
