"""``python -m xraygpt``."""

from xraygpt.cli import main

if __name__ == "__main__":
    main()
