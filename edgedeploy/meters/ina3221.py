"""The power monitors of Jetson boards through sysfs, by the label of each rail.

JetPack 5 and later have them in hwmon (volts and amperes), JetPack 4 in iio (power). Folder numbers
change between boots, so a monitor is found by its name and a rail by its label.

Source: Linux, Documentation/hwmon/ina3221.rst; L4T 32's ina3221x driver; Thor's carrier has an
INA238, whose power is that of the whole developer kit, called VIN by tegrastats.
"""

from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from .counters import monotonic_ns
from .sampling import Reader, Sample
from .sysfs import SensorState, is_forbidden, join, list_folder, read_int, read_text

_HWMON = "sys/class/hwmon"
_IIO = "sys/bus/i2c/drivers/ina3221x"
_HWMON_CHANNELS = (1, 2, 3)  # 4 and up are shunt voltages and sums
_IIO_CHANNELS = (0, 1, 2)
_NOT_CONNECTED = "NC"
_STEP_UV = 40


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
            fix="run as root: sudo -E $(command -v edgedeploy) profile …",
        )
    return SensorState(available=False, reason="an INA3221 is here, but none of its rails is read")


def read_rails_mw(root: str = "/") -> Dict[str, int]:
    """Return milliwatts by rail, now; empty where `probe` says why.

    A channel that is switched off or not connected is left out.

    Args:
        root: Where the file system starts.
    """
    return _read(_channels(root))


def open_reader(root: str = "/") -> Tuple[Optional[Reader], Optional[str]]:
    """Return a reader and None, or None and why there is none.

    Args:
        root: Where the file system starts.
    """
    state = probe(root)
    return (_Monitors(_channels(root)), None) if state.available else (None, state.reason)


class _Channel(NamedTuple):
    """One rail: the product of the integers in ``paths``, divided, is its power in mW.

    Attributes:
        label: The rail's name.
        paths: Files.
        divisor: Of their product.
        shunt: File with the microohms that the current is measured over, or None.
    """

    label: str
    paths: Tuple[str, ...]
    divisor: int
    shunt: Optional[str] = None

    def read_mw(self) -> Optional[int]:
        """Return the power now; None if the channel is off."""
        product = 1
        for path in self.paths:
            value = read_int(path)
            if value is None:
                return None
            product *= value
        return round(product / self.divisor)

    def step_mw(self) -> Optional[float]:
        """Return what one step of the converter makes: 40 µV over the shunt."""
        ohms = read_int(self.shunt) if self.shunt else None
        millivolts = read_int(self.paths[0])
        if not ohms or millivolts is None or ohms < 0:
            return None
        return _STEP_UV / ohms * abs(millivolts)


class _Monitors(Reader):
    def __init__(self, channels: List[_Channel]) -> None:
        self._channels = channels

    def read(self) -> List[Sample]:
        """Return the rails now, with the time of the middle of their reading."""
        start_ns = monotonic_ns()
        rails_mw = _read(self._channels)
        return [Sample((start_ns + monotonic_ns()) // 2, rails_mw)]

    def steps_mw(self) -> Dict[str, float]:
        """Return the resolution of the rails whose shunt is known."""
        steps = {channel.label: channel.step_mw() for channel in self._channels}
        return {label: step for label, step in steps.items() if step is not None}


def _read(channels: List[_Channel]) -> Dict[str, int]:
    powers = {channel.label: channel.read_mw() for channel in channels}
    return {label: power for label, power in powers.items() if power is not None}


def _channels(root: str) -> List[_Channel]:
    found = [*_hwmon_channels(root), *_iio_channels(root)]
    return [channel for channel in found if channel.label not in ("", _NOT_CONNECTED)]


def _hwmon_channels(root: str) -> Iterator[_Channel]:
    for folder in _monitors(root, "ina3221"):
        for channel in _HWMON_CHANNELS:
            label = read_text(join(folder, f"in{channel}_label")) or ""
            names = (f"in{channel}_input", f"curr{channel}_input")
            shunt = join(folder, f"shunt{channel}_resistor")
            yield _Channel(label, tuple(join(folder, name) for name in names), 1000, shunt)
    for folder in _monitors(root, "ina238"):
        yield _Channel("VIN", (join(folder, "power1_input"),), 1000)


def _iio_channels(root: str) -> Iterator[_Channel]:
    for folder in _iio_devices(root):
        for channel in _IIO_CHANNELS:
            label = read_text(join(folder, f"rail_name_{channel}")) or ""
            yield _Channel(label, (join(folder, f"in_power{channel}_input"),), 1)


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
