"""``python -m edgedeploy``: the command line where its script is not on PATH."""

from edgedeploy.cli import main

main()
