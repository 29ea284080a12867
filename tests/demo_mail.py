"""Takes a mail as sendmail does, and writes what it says as text into a new file of a directory."""

import email
import email.policy
import os
import pathlib
import sys
import time

mail = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
head = "".join(f"{name}: {mail[name]}\n" for name in ("Date", "From", "To", "Subject"))
body = mail.get_body(preferencelist=("plain",)).get_content()
directory = pathlib.Path(sys.argv[1])
fresh = directory / f".{os.getpid()}"
fresh.write_text(f"{head}\n{body}\n", encoding="utf-8")
fresh.rename(directory / time.strftime(f"%H%M%S-{time.time_ns() % 1_000_000_000:09d}.txt"))
