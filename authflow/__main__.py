"""`python -m authflow`: the command line, where its script is not on the path."""

from authflow.cli import main

if __name__ == "__main__":
    main()
