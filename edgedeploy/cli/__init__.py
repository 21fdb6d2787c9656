"""Command line: parse, call one function, print what it returned."""

from edgedeploy.cli.app import main

__all__ = ["main"]
