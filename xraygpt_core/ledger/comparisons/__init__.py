"""Two models side by side on films of this system: which films, both texts, and what they are worth."""
