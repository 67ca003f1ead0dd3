"""`python -P -m modelsign` is the console script under another name."""

from modelsign.cli.main import run

if __name__ == "__main__":
    run()
