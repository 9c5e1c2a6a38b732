"""A query's result as a table, CSV, lines of JSON or Parquet: nothing of it is shortened, rounded or left out."""
