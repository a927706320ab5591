"""`python -m convcli` is the same as the command `convcli`."""

from convcli.cli.main import main

if __name__ == "__main__":
    main()
