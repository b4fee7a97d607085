"""A program that behaves like zlint, or as the file that it is given tells it to.

A file that begins with an ASCII word is an order; any other is a certificate without faults.
"""

from __future__ import annotations

import sys
from pathlib import Path

LINTS = {
    "e_rfc": "RFC5280",
    "w_rfc": "RFC5280",
    "n_rfc": "RFC5280",
    "e_br": "CABF_BR",
    "e_ev": "CABF_EV",
    "e_smime": "CABF_SMIME_BR",
    "e_apple": "Apple",
    "e_mozilla": "Mozilla",
    "e_ext_name_constraints_not_critical": "RFC5280",
    "w_ext_subject_key_identifier_missing_sub_cert": "RFC5280",
}
"""Source by lint; ``e_crl`` is one of CRLs."""

_PROGRAM = r"""
import json, os, sys, time
LINTS = __LINTS__
FAULT = "__FAULT__"
BASE = os.path.dirname(os.path.abspath(__file__))

def say(results):
    line = {lint: {"result": "pass"} for lint in LINTS}
    line.update(results)
    print(json.dumps(line), flush=True)

def obey(word, rest):
    if word == "error":
        say({rest.split()[0]: {"result": "error"}})
    elif word == "nap":
        time.sleep(0.5)
        say({})
    elif word == "every":
        say({rest: {"result": "fatal", "details": "it says why"}, "w_rfc": {"result": "warn"},
             "n_rfc": {"result": "info"}, "e_br": {"result": "NA"}, "e_ev": {"result": "NE"}})
    elif word == "panic":
        say({"e_rfc": {"result": "fatal", "details": "'e_rfc' panicked. Error: nil map"},
             "w_rfc": {"result": "warn"}})
    elif word == "unknown":
        say({"e_rfc": {"result": "reserved"}})
    elif word == "crl":
        print(json.dumps({"e_crl": {"result": "pass"}}), flush=True)
    elif word == "parse":
        said = 'unable to parse certificate: \\"odd\\" tag'
        sys.stderr.write('time="2026" level=fatal msg="' + said + '"\n')
        sys.exit(1)
    elif word == "sleep":
        time.sleep(60)
    elif word == "garbage":
        print("panic: what now", flush=True)
    elif word == "empty":
        print("{}", flush=True)
    elif word == "flood":
        for _ in range(1024):
            sys.stdout.write("x" * 2**20)
    elif word == "shout":
        for _ in range(128):
            sys.stderr.write("x" * 2**20)
        say({"e_rfc": {"result": "error"}})
    elif word == "babble":
        say({})
        say({})
    elif word == "stop":
        sys.exit(0)
    elif word == "segv":
        os.kill(os.getpid(), 11)
    elif word == "exit":
        sys.stderr.write("fatal error: stack overflow\ngoroutine 1\n")
        os._exit(139)
    elif word == "once":
        mark = os.path.join(BASE, "once")
        if not os.path.exists(mark):
            open(mark, "w").close()
            os._exit(137)
        say({})
    elif word == "break":
        open(os.path.join(BASE, "broken"), "w").close()
        os._exit(2)
    elif word == "fork":
        child = os.fork()
        if child == 0:
            time.sleep(600)
        with open(os.path.join(BASE, "child"), "w") as file:
            file.write(str(child))
        say({})
    elif word == "hog":
        held = bytearray(3 * 2**30)
        say({})
    elif word == "environment":
        say({"e_rfc": {"result": "error", "details": " ".join(sorted(os.environ))}})
    elif word == "arguments":
        options = [each for each in sys.argv[1:] if not each.endswith(".der")]
        seen = [open(each).read() for each in options if each.endswith(".toml")]
        say({"e_rfc": {"result": "error", "details": " ".join(options + seen)}})
    elif word == "folder":
        mode = oct(os.stat(".").st_mode & 0o777)
        say({"e_rfc": {"result": "error", "details": mode + " " + os.getcwd()}})
    else:
        say({})

if os.path.exists(os.path.join(BASE, "broken")):
    os._exit(2)
if "-version" in sys.argv:
    print("ZLint version __VERSION__")
elif "-list-lints-json" in sys.argv:
    for lint, source in {**LINTS, "e_crl": "RFC5280"}.items():
        print(json.dumps({"name": lint, "source": source, "description": "about " + lint,
                          "citation": "section 1"}))
else:
    with open(os.path.join(BASE, "runs"), "a") as file:
        file.write(str(len([each for each in sys.argv if each.endswith(".der")])) + "\n")
    for name in sys.argv[1:]:
        if name.endswith(".der"):
            with open(name, "rb") as file:
                content = file.read()
            if content[:1] == b"0":
                say({FAULT: {"result": "error"}} if FAULT else {})
            else:
                obey(*content.decode().partition(" ")[::2])
"""


def write_zlint(
    folder: Path, *, version: str = "v9.9.9", comment: str = "", fault: str = ""
) -> Path:
    """Write the program, its notes to the test beside it; ``fault`` it finds in certificates."""
    program = folder / "zlint"
    text = _PROGRAM.replace("__LINTS__", repr(LINTS)).replace("__VERSION__", version)
    text = text.replace("__FAULT__", fault)
    program.write_text(f"#!{sys.executable} -IS\n# {comment}\n{text}")
    program.chmod(0o700)
    return program


def runs_of(program: Path) -> list[int]:
    """How many files it was given in each of its runs."""
    return [int(line) for line in (program.parent / "runs").read_text().split()]
