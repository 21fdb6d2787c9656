"""What dpkg has installed below a root, without calling it.

Source: dpkg(1), /var/lib/dpkg/status, a file of RFC 822 paragraphs.
"""

from typing import Dict

from .sysfs import join, read_text

_STATUS = "var/lib/dpkg/status"
_LIMIT = 1 << 25  # bytes; that of a full JetPack has about 3 MB
_INSTALLED = "install ok installed"
_HELD = "hold ok installed"


def installed(root: str = "/") -> Dict[str, str]:
    """Return the installed packages, name to version; none where there is no dpkg.

    Args:
        root: Where the file system starts.
    """
    found = {}
    for paragraph in (read_text(join(root, _STATUS), _LIMIT) or "").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.split("\n") if ": " in line)
        name, version = fields.get("Package", ""), fields.get("Version", "")
        if name and version and fields.get("Status", _INSTALLED) in (_INSTALLED, _HELD):
            found[name] = version.strip()
    return found
