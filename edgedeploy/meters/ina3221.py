"""The power monitors of Jetson boards through sysfs, by the label of each rail.

JetPack 5 and later have them in hwmon (volts and amperes), JetPack 4 in iio (power). Folder numbers
change between boots, so a monitor is found by its name and a rail by its label.

Source: Linux, Documentation/hwmon/ina3221.rst; L4T 32's ina3221x driver; Thor's carrier has an
INA238, whose power is that of the whole developer kit, called VIN by tegrastats.
"""

from typing import Dict, Iterator, List, Tuple

from .sysfs import SensorState, is_forbidden, join, list_folder, read_int, read_text

_HWMON = "sys/class/hwmon"
_IIO = "sys/bus/i2c/drivers/ina3221x"
_HWMON_CHANNELS = (1, 2, 3)  # 4 and up are shunt voltages and sums
_IIO_CHANNELS = (0, 1, 2)
_NOT_CONNECTED = "NC"


def probe(root: str = "/") -> SensorState:
    """Return whether a rail can be read here.

    Args:
        root: Where the file system starts.
    """
    if read_rails_mw(root):
        return SensorState(available=True)
    paths = _value_paths(root)
    if not paths:
        reason = "no INA3221 in /sys/class/hwmon or /sys/bus/i2c/drivers: Jetson boards have it"
        return SensorState(available=False, reason=reason)
    if any(is_forbidden(path) for path in paths):
        return SensorState(
            available=False,
            reason="an INA3221 is here, but its rails may be read by root only",
            fix="run as root: sudo -E edgedeploy profile …",
        )
    return SensorState(available=False, reason="an INA3221 is here, but none of its rails is read")


def read_rails_mw(root: str = "/") -> Dict[str, int]:
    """Return milliwatts by rail, now; empty where `probe` says why.

    A channel that is switched off or not connected is left out.

    Args:
        root: Where the file system starts.
    """
    rails = dict(_read_hwmon(root))
    rails.update(_read_iio(root))
    return rails


def _read_hwmon(root: str) -> Iterator[Tuple[str, int]]:
    for folder in _monitors(root, "ina3221"):
        for channel in _HWMON_CHANNELS:
            label = read_text(join(folder, f"in{channel}_label"))
            millivolts = read_int(join(folder, f"in{channel}_input"))
            milliamperes = read_int(join(folder, f"curr{channel}_input"))
            if label and label != _NOT_CONNECTED and None not in (millivolts, milliamperes):
                yield label, round((millivolts or 0) * (milliamperes or 0) / 1000)
    for folder in _monitors(root, "ina238"):
        microwatts = read_int(join(folder, "power1_input"))
        if microwatts is not None:
            yield "VIN", round(microwatts / 1000)


def _read_iio(root: str) -> Iterator[Tuple[str, int]]:
    for folder in _iio_devices(root):
        for channel in _IIO_CHANNELS:
            label = read_text(join(folder, f"rail_name_{channel}"))
            milliwatts = read_int(join(folder, f"in_power{channel}_input"))
            if label and label != _NOT_CONNECTED and milliwatts is not None:
                yield label, milliwatts


def _value_paths(root: str) -> List[str]:
    """Return the files that hold the first channel of each monitor, whether readable or not."""
    paths = [join(folder, "curr1_input") for folder in _monitors(root, "ina3221")]
    return paths + [join(folder, "in_power0_input") for folder in _iio_devices(root)]


def _monitors(root: str, name: str) -> List[str]:
    folder = join(root, _HWMON)
    devices = [join(folder, entry) for entry in list_folder(folder)]
    return [device for device in devices if read_text(join(device, "name")) == name]


def _iio_devices(root: str) -> List[str]:
    folder = join(root, _IIO)
    return [
        join(folder, bus, device)
        for bus in list_folder(folder)
        for device in list_folder(join(folder, bus))
        if device.startswith("iio:device")
    ]
