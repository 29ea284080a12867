"""Loads each homeserver.yaml of the JSON list on standard input with Synapse's own loader.

Prints a JSON list: "" for a file that Synapse starts with, else why it does not, and null where a package
that is not installed keeps Synapse from looking.
"""

import json
import sys
import tempfile

import yaml
from synapse.config.homeserver import HomeServerConfig
from synapse.util.check_dependencies import DependencyException

directory = tempfile.mkdtemp()
base = {
    "server_name": "example.test",
    "public_baseurl": "https://matrix.example.test/",
    "report_stats": False,
    "listeners": [],
    "database": {"name": "sqlite3", "args": {"database": ":memory:"}},
    "media_store_path": directory,
    "signing_key": "ed25519 a_test NXt8ZLaaxzwHgGTZdbyKDYaT8S+WmdnYGWHWQBpKVQo",
    "trusted_key_servers": [],
    "macaroon_secret_key": "x",
    "form_secret": "y",
    "enable_registration_without_verification": True,
}


def load(text):
    try:
        settings = {**yaml.safe_load(text), **base}
        HomeServerConfig().parse_config_dict(
            settings, config_dir_path=directory, data_dir_path=directory
        )
    except DependencyException:
        return None
    except BaseException as error:
        return f"{type(error).__name__} {error!r}"
    return ""


real, sys.stdout = sys.stdout, sys.stderr
answers = [load(text) for text in json.load(sys.stdin)]
json.dump(answers, real)
