"""`python -m initctl`."""

from initctl.cli.main import main

if __name__ == "__main__":
    main()
