"""Which board this is: a Jetson by its device tree, anything else as ``local``.

The module's part number in ``compatible`` is preferred: ``model`` is free text that vendors of
carrier boards change. The card or disk of a board that is switched off has no device tree; there
NVIDIA's updater says in /etc/nv_boot_control.conf which module it was written for.
Source: NVIDIA's device trees, L4T 21 to 39; jetson_stats' table of JetPacks; that file on boards of
users (Nano, Xavier NX, Orin).
"""

import re
from typing import List, NamedTuple, Optional, Tuple

from . import cpu, packages, power_modes
from .sysfs import join, read_text

LOCAL = "local"

_DEVICE_TREES = ("proc/device-tree", "sys/firmware/devicetree/base")
_PART = re.compile(r"p\d{4}-\d{4}", re.ASCII)
_SOC = re.compile(r"nvidia,(tegra\d{2}[\dx])\b", re.ASCII)
_RELEASE = re.compile(r"#?\s*R(\d{1,3}) \(release\), REVISION: (\d{1,3}(?:\.\d{1,3})*)", re.ASCII)
_PACKAGE = re.compile(r"\d{1,3}(?:\.\d{1,3})*", re.ASCII)
_BOOT = re.compile(r"^TNSPEC[ \t]+(\d{4})-([^-\s]*)-([^-\s]*)-?(\S{0,80})", re.ASCII | re.MULTILINE)
_SKU = re.compile(r"\d{4}", re.ASCII)
_MODE = re.compile(r"pmode:(\d{1,4})", re.ASCII)

# Start of a part number -> board. Carriers (p3768, p3737, …) are not in it.
_PARTS = (
    ("p3834", "agx-thor"),
    ("p3701", "agx-orin"),
    ("p3767-0000", "orin-nx"),
    ("p3767-0001", "orin-nx"),
    ("p3767-0003", "orin-nano"),
    ("p3767-0004", "orin-nano"),
    ("p3767-0005", "orin-nano"),
    ("p3668", "xavier-nx"),
    ("p2888", "agx-xavier"),
    ("p2972", "agx-xavier"),  # its developer kit
    ("p3636", "tx2"),  # TX2 NX
    ("p3489", "tx2"),  # TX2i, TX2 4GB
    ("p3310", "tx2"),
    ("p2771", "tx2"),  # its developer kit
    ("p2180", "tx1"),
    ("p2371-2180", "tx1"),  # its developer kit
    ("p3448", "nano"),
    ("p3450", "nano"),  # its developer kit
)
# A part of the model, with spaces for - and _ -> board. The order matters: "Orin Nano" contains
# "Nano", and the AGX Xavier called itself "Jetson-AGX" before there was another AGX.
_MODELS = (
    ("thor", "agx-thor"),
    ("agx orin", "agx-orin"),
    ("orin nx", "orin-nx"),
    ("orin nano", "orin-nano"),
    ("xavier nx", "xavier-nx"),
    ("agx xavier", "agx-xavier"),
    ("jetson xavier", "agx-xavier"),
    ("jetson agx", "agx-xavier"),
    ("tx2", "tx2"),
    ("lanai", "tx2"),
    ("quill", "tx2"),
    ("lightning", "tx2"),
    ("storm", "tx2"),
    ("tx1", "tx1"),
    ("jetson nano", "nano"),
    ("jetson tk1", "tk1"),
)
# L4T without trailing zeros -> JetPack
_JETPACKS = {
    "21.5": "2.3.1", "24.2.1": "3.0", "27.1": "3.0", "28.1": "3.1", "28.2": "3.2",
    "28.2.1": "3.3", "28.4": "3.3.3", "31.0.1": "4.0", "31.0.2": "4.1", "31.1": "4.1.1",
    "32.1": "4.2", "32.2": "4.2.1", "32.2.1": "4.2.2", "32.2.3": "4.2.3", "32.3.1": "4.3",
    "32.4.3": "4.4", "32.4.4": "4.4.1", "32.5": "4.5", "32.5.1": "4.5.1", "32.6.1": "4.6",
    "32.7.1": "4.6.1", "32.7.2": "4.6.2", "32.7.3": "4.6.3", "32.7.4": "4.6.4",
    "32.7.5": "4.6.5", "32.7.6": "4.6.6", "34.1": "5.0 DP", "34.1.1": "5.0.1 DP",
    "35.1": "5.0.2", "35.2.1": "5.1", "35.3.1": "5.1.1", "35.4.1": "5.1.2", "35.5": "5.1.3",
    "35.6": "5.1.4", "35.6.1": "5.1.5", "35.6.2": "5.1.5", "35.6.3": "5.1.5", "35.6.4": "5.1.6",
    "36.2": "6.0 DP", "36.3": "6.0", "36.4": "6.1", "36.4.3": "6.2", "36.4.4": "6.2.1",
    "36.4.7": "6.2.1", "36.5": "6.2.2", "38.2": "7.0", "38.2.1": "7.0", "38.2.2": "7.0",
    "38.4": "7.1", "39": "7.2 EA", "39.2": "7.2", "39.2.1": "7.2.1", "39.2.2": "7.2.2",
}  # fmt: skip


class BoardFacts(NamedTuple):
    """What this machine says it is. A fact that it does not tell is None.

    Attributes:
        name: A name of the device table, e.g. ``"jetson-nano"``; ``"local"`` for any other machine.
        model: For people: a Jetson's model, elsewhere the processor.
        soc: E.g. ``"tegra210"``; None where it is no NVIDIA system on a chip.
        module: Part number, e.g. ``"p3448-0000"``.
        l4t: Release of Jetson Linux, e.g. ``"32.7.1"``.
        jetpack: The JetPack that this release belongs to.
        power_mode: Name of the nvpmodel mode last set, e.g. ``"MAXN"``; one that needs a restart
            is shown before it acts.
    """

    name: str
    model: str
    soc: Optional[str] = None
    module: Optional[str] = None
    l4t: Optional[str] = None
    jetpack: Optional[str] = None
    power_mode: Optional[str] = None


def detect(root: str = "/") -> BoardFacts:
    """Return what this machine is; it never fails.

    Args:
        root: Where the file system starts.
    """
    compatible = _read_tree(root, "compatible")
    model = " ".join(_read_tree(root, "model"))
    soc = next((m.group(1) for m in map(_SOC.search, compatible) if m), None)
    parts = [part for entry in compatible for part in _PART.findall(entry)]
    if not (compatible or model):
        parts, model = _read_boot_control(root)
    l4t = _read_l4t(root, is_tegra=soc is not None)
    board = _match_parts(parts)
    if board is None and (soc or l4t or re.search("nvidia|jetson", model, re.IGNORECASE)):
        board = _match_model(" ".join([model, *compatible]))
    if board is None and soc is None:
        return BoardFacts(LOCAL, cpu.read(root).model, l4t=l4t)
    return BoardFacts(
        name=LOCAL if board is None else f"jetson-{board}",
        model=model or ", ".join(compatible),
        soc=soc,
        module=next((part for part in parts if _match_parts([part])), None),
        l4t=l4t,
        jetpack=None if l4t is None else _JETPACKS.get(re.sub(r"(\.0)+$", "", l4t)),
        power_mode=_read_power_mode(root),
    )


def _read_tree(root: str, name: str) -> List[str]:
    """Return the strings of a device-tree property, which are separated by NUL."""
    for folder in _DEVICE_TREES:
        text = read_text(join(root, folder, name), separator="\n")
        if text:
            return [line for line in text.split("\n") if line]
    return []


def _read_boot_control(root: str) -> Tuple[List[str], str]:
    """Return the part numbers and the board's name of a card whose board is not running."""
    found = _BOOT.search(read_text(join(root, "etc/nv_boot_control.conf")) or "")
    if not found:
        return [], ""
    board, _, sku, rest = found.groups()
    name = rest[max(0, rest.find("jetson")) :].strip("-")
    return ["p" + board + ("-" + sku if _SKU.fullmatch(sku) else "")], name


def _match_parts(parts: List[str]) -> Optional[str]:
    for part in parts:
        for start, board in _PARTS:
            if part.startswith(start):
                return board
    return None


def _match_model(model: str) -> Optional[str]:
    words = re.sub(r"[-_,\s]+", " ", model.lower())
    return next((board for part, board in _MODELS if part in words), None)


def _read_l4t(root: str, *, is_tegra: bool) -> Optional[str]:
    """Return the release that /etc/nv_tegra_release names first, else that of its package."""
    first_line = (read_text(join(root, "etc/nv_tegra_release")) or "").split("\n")[0]
    release = _RELEASE.match(first_line)
    if release:
        return f"{release.group(1)}.{release.group(2)}"
    if not is_tegra:
        return None
    package = _PACKAGE.match(packages.installed(root).get("nvidia-l4t-core", ""))
    return package.group(0) if package else None


def _read_power_mode(root: str) -> Optional[str]:
    """Return the mode's name from nvpmodel's files: the program needs root on some releases."""
    mode = _MODE.search(read_text(join(root, "var/lib/nvpmodel/status")) or "")
    if not mode:
        return None
    return dict(power_modes.read_list(root)).get(int(mode.group(1)))
