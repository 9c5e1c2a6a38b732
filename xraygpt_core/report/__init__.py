"""Reading and scoring report text. No torch, no database."""
