"""Every figure the README quotes: ``python -m benchmarks.NAME [--full] [--json]``, or ``xraygpt bench NAME``."""
