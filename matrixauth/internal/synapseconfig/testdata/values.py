"""Loads each text of the JSON list on standard input, in base64, as Synapse loads a file of its configuration.

Prints a JSON list: the settings, each value with its type, or a text that says why Synapse does not load it.
"""

import base64
import datetime
import json
import os
import sys
import tempfile

from synapse.config._base import read_config_files

class TooDeep(Exception):
    """The value goes deeper than is compared, or contains itself."""


def typed(value, depth=0):
    if depth > 40:
        raise TooDeep
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return "int " + format(value, "d") if abs(value) < 10**40 else "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "str " + value
    if isinstance(value, datetime.date):
        return "date"
    if isinstance(value, list):
        return [typed(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {json.dumps(typed(key), ensure_ascii=False): typed(item, depth + 1) for key, item in value.items()}
    return type(value).__name__


def load(base, path, text):
    with open(path, "wb") as stream:
        stream.write(base64.b64decode(text))
    try:
        return typed(read_config_files([base, path]))
    except TooDeep:
        return {}
    except BaseException as error:
        return f"{type(error).__name__} {error}"[:300]


def main():
    real, sys.stdout = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as directory:
        base = os.path.join(directory, "base.yaml")
        with open(base, "w") as stream:
            stream.write("server_name: example.test\nreport_stats: false\n")
        path = os.path.join(directory, "text.yaml")
        answers = [load(base, path, text) for text in json.load(sys.stdin)]
    json.dump(answers, real)


if __name__ == "__main__":
    main()
