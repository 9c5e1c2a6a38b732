"""The study card: what is known about a study, described once, for the page, the command line, SQL and dashboards."""
