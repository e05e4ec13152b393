"""The simulated ``npu-smi info``: the 22.0 table of the chips that the rehearsal has."""

from __future__ import annotations

import sys

from portproof.rehearsal import device_count, has_fault, soc_version

_RULE = (
    "+-------------------+-----------------+------------------------------------------------------+"
)
_HEAVY = _RULE.replace("-", "=")


def main() -> int:
    """Print the table."""
    if sys.argv[1:] != ["info"]:
        print("Error parameter: only 'npu-smi info' is simulated")
        return 1
    name = soc_version().removeprefix("Ascend")
    chips_a_card = 4 if name == "310" else 1
    print(
        "+--------------------------------------------------------------------------------------------+"
    )
    print(
        "| npu-smi 22.0.0                       Version: 22.0.2             REHEARSAL             "
        "    |"
    )
    print(
        f"{_RULE}\n| NPU     Name      | Health          | Power(W)     Temp(C)          "
        " Hugepages-Usage(page) |"
    )
    print(
        "| Chip    Device    | Bus-Id          | AICore(%)    Memory-Usage(MB)                    "
        f"    |\n{_HEAVY}"
    )
    for device in range(device_count()):
        load = 97 if has_fault("busy-device", device) else 0
        print(
            f"| {device // chips_a_card:<8}{name:<10}| {'OK':<16}|"
            f" {'15.8':<13}{'42':<18}{'0    / 0':<22}|"
        )
        print(
            f"| {device % chips_a_card:<8}{device:<10}| {f'0000:{0x82 + device:02X}:00.0':<16}|"
            f" {load:<13}{'1074 / 21534':<40}|\n{_HEAVY}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
