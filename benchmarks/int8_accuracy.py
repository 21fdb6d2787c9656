"""INT8 of edgedeploy beside that of ONNX Runtime and NNCF, on the same pictures, as one table.

    python benchmarks/int8_accuracy.py MODELS IMAGES [--keras FILE…] [--peers-python PYTHON]

MODELS is a folder of ONNX files that take x / 127.5 - 1 or say otherwise; a Keras file is exported
first, its variant is read from its name. Calibration uses the positions i%5<2 of the sorted images,
without labels, evaluation the others. Each contender is compared with the float model in the
runtime that runs it: the share of pictures with the same best class, and the change of top-1 in
points with a paired 95 % score interval (Tango 1998).

Rows that end in "exact" multiply floats where the model has integers (Q/DQ in ONNX Runtime
without graph optimisations; OpenVINO without low-precision transformations): u8 × s8 products
saturate on x86 CPUs without VNNI, and there a peer may lose by the CPU, not by its numbers.

Peers never change while ours do: their models and answers are kept in --cache.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from peers import making
from peers.contest import Contest
from peers.inputs import CALIBRATE, EVALUATE, models
from peers.scores import Score, table

from edgedeploy.images import open_images
from edgedeploy.meters import cpu
from edgedeploy.runtime.cpu import physical_cores


def main() -> None:
    """Measure every contender on every model; print the table, write the JSON."""
    options = _options()
    images = open_images(options.images)
    python = {"ort": sys.executable, "nncf": options.peers_python}
    peers = [] if options.no_peers else [*making.PEERS]
    if options.entropy:
        peers.append(making.ENTROPY)
    scores: list[Score] = []
    for model in models(options.models, options.keras, options.cache):
        print(f"{model.name} …", file=sys.stderr, flush=True)
        contest = Contest(model, images, cache=options.cache, threads=options.threads)
        scores += contest.ours()
        for peer in peers:
            scores += contest.peer(peer, python[peer.kind])
    processor = cpu.read()
    document = {
        "cpu": processor.model,
        "multiplies_bytes_exactly": processor.multiplies_bytes_exactly,
        "versions": {kind: making.versions(path) for kind, path in python.items()},
        "images": images.digest(),
        "calibrate": CALIBRATE,
        "evaluate": EVALUATE,
        "scores": [asdict(found) for found in scores],
    }
    sums = "exact" if processor.multiplies_bytes_exactly else "saturate"
    used = {**making.versions(python["nncf"]), **making.versions(python["ort"])}
    print(f"{processor.model} (sums of u8 × s8: {sums})")
    print(", ".join(f"{package} {version}" for package, version in used.items()), end="\n\n")
    print(table(scores))
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", type=Path, help="folder of float ONNX files")
    parser.add_argument("images", type=Path, help="labelled pictures, see docs/models.md")
    parser.add_argument("--keras", type=Path, nargs="+", default=[], help="Keras checkpoints")
    parser.add_argument(
        "--peers-python", default=sys.executable, help="interpreter that NNCF is installed for"
    )
    parser.add_argument("--no-peers", action="store_true", help="ours only")
    parser.add_argument("--entropy", action="store_true", help="ONNX Runtime's entropy as well")
    parser.add_argument("--cache", type=Path, default=Path("build/int8_peers"))
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--json", type=Path, help="write all numbers there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
