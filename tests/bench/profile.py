#!/usr/bin/env python3
"""What one message, or one delivery, costs function by function: the difference of two profiles that `build/bench instructions` left in build/.

usage: tests/bench/profile.py [message|delivery] [--self]
  --self  what a function does itself, libraries' included; otherwise Parley's own functions with all that they call
"""
import re
import subprocess
import sys

FEW, MANY, STREAMS = 50, 350, 200


def read(posts, streams, own):
    """Instructions by function, of one run."""
    command = ["callgrind_annotate", "--threshold=100", "--auto=no", f"--inclusive={'no' if own else 'yes'}"]
    text = subprocess.run(command + [f"build/callgrind-{posts}-posts-{streams}-streams.out"], check=True, capture_output=True, text=True).stdout
    counts = {}
    for line in text.splitlines():
        match = re.match(r"\s*([\d,]+) \([ \d.]+%\)\s+(\S+?):(\S+)(?: \[(\S+)\])?$", line)
        if not match:
            continue
        count, file, function, binary = match.groups()
        room = re.search(r"(?:^|/)((?:core|db|media|stream|api|jobs|cli)/[^/]+\.c)$", file)
        place = room.group(1) if room else (binary or file).rsplit("/", 1)[-1]
        name = re.sub(r"'\d+$", "", function)
        if name.startswith("0x"):
            name = "(without a name)"
        key = (place, name)
        value = int(count.replace(",", ""))
        counts[key] = counts.get(key, 0) + value if own else max(counts.get(key, 0), value)
    return counts


def per_post(streams, own):
    few, many = read(FEW, streams, own), read(MANY, streams, own)
    return {key: (many[key] - few.get(key, 0)) / (MANY - FEW) for key in many}


def main():
    own = "--self" in sys.argv
    counts = per_post(0, own)
    if "delivery" in sys.argv:
        with_streams = per_post(STREAMS, own)
        counts = {key: (count - counts.get(key, 0)) / STREAMS for key, count in with_streams.items()}
    least = 2 if "delivery" in sys.argv else 500
    for (place, name), count in sorted(counts.items(), key=lambda item: -item[1]):
        if count >= least and (own or place.endswith(".c")):
            print(f"{count:10,.0f}  {place}: {name}")


main()
