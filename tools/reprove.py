#!/usr/bin/env python3
"""Prove a run directory of 'portproof port' again, from its raw bytes.

A second verifier: one file, Python's standard library only, no line shared with PortProof, so that
a mistake (or a lie) must be made twice to pass. It hashes every file against the sidecars and the
report's seals, and works out again: Top-N from the result files and the labels, the paired table
with Tango's bounds and McNemar's test, rates and ratios from the raw seconds, the gates, and every
figure of report/report.json. It renders no page: 'portproof verify' does.

Only regular files are read, and no path is followed out of the run directory but the inputs that
the sidecars name (weights, images, labels): these are hashed, and it is said which they were.
"""

import argparse
import ast
import collections
import csv
import functools
import hashlib
import io
import itertools
import json
import math
import os
import re
import stat
import statistics
import struct
import sys
from collections import Counter

SIDECAR, REPORT, SETTINGS = ".proof.json", "report/report.json", "port.yaml"
OWN_LOG, OWN_TEXT = "logs/report.log", b"$ portproof report .\n"
MUST = {SETTINGS, "report/README.md", "report/report.html", "report/junit.xml"}
STAGE_FILES = re.compile(r"(compare|perf|card|result)\.json|outcomes\.csv|model\.onnx|prep\.info")
LARGEST = 1 << 29
DAMAGE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError)
DAMAGE += (RecursionError, StopIteration, csv.Error)
Z95, Z975 = (statistics.NormalDist().inv_cdf(p) for p in (0.95, 0.975))


class Refused(Exception):
    """A file that is not read, or is not what it must be; the text says why."""


# Statistics: from the papers, and in another way than PortProof's where there is one.


def tango_upper(more, less, n, z):
    """The upper bound, at ``z`` standard errors, of a difference of paired proportions.

    Tango, Statistics in Medicine 17, 891-908 (1998): the largest difference d whose score
    (more - less - n d) / sqrt(n (2 q + d - d d)) is not under -z. q, the chance of the ``less``
    cell, maximises the likelihood (q + d)^more q^less (1 - 2 q - d)^rest: here by bisection of its
    slope, in the paper by a quadratic. Below zero the distance is half a sample more (Yates).
    """

    def chance(d):
        low, high, rest = max(0.0, -d), (1 - d) / 2, 2 * (n - more - less)
        while low < (q := (low + high) / 2) < high:
            slope = (more / (q + d) if more else 0) + (less / q if less else 0)
            slope -= rest / (1 - 2 * q - d) if rest > 0 else 0
            low, high = (q, high) if slope > 0 else (low, q)
        return low

    low, high = (more - less) / n, 1.0
    for _ in range(60):
        d = (low + high) / 2
        variance = n * (2 * chance(d) + d - d * d)
        distance = more - less - n * d + (0.5 if d < 0 else 0)
        kept = variance > 0 and distance > -z * math.sqrt(variance)
        low, high = (d, high) if kept else (low, d)
    return low


def mcnemar(fixed, broken):
    """McNemar's exact two-sided p (Psychometrika 12, 1947): twice the binomial tail at 1/2."""
    flips, tail, ways = fixed + broken, 0, 1
    for k in range(min(fixed, broken) + 1):
        tail, ways = tail + ways, ways * (flips - k) // (k + 1)
    return min(1.0, 2 * tail / 2**flips)


def wilson(hits, n, z=Z975):
    """Wilson's interval of a proportion (JASA 22, 1927): the x with (p-x)^2 = z^2 x(1-x)/n."""
    a, b, c = 1 + z * z / n, 2 * hits / n + z * z / n, (hits / n) ** 2
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return [max(0.0, (b - root) / (2 * a)), min(1.0, (b + root) / (2 * a))]


def t_inside(t, df):
    """P(|T| < t) of Student's t: the finite series of Abramowitz & Stegun 26.7.3 and 26.7.4."""
    angle, odd = math.atan(t / math.sqrt(df)), df % 2
    term = math.cos(angle) if odd else 1.0
    total = term if df > 1 else 0.0
    for k in range(2 + odd, df - 1, 2):
        term *= math.cos(angle) ** 2 * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total


def t_quantile(inside, df):
    """The t with P(|T| < t) = ``inside``, by bisection."""
    low, high = 0.0, 1e6
    while low < (t := (low + high) / 2) < high:
        low, high = (t, high) if t_inside(t, df) < inside else (low, t)
    return low


# Reading what somebody else wrote.


def opened(path):
    """A regular file, open for reading; a pipe is not waited for, a device not read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Refused("it is missing") from None
    except (OSError, ValueError) as error:
        raise Refused(f"it cannot be read ({error})") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Refused("it is not a regular file")
    return open(handle, "rb")


def unique(pairs):
    """A JSON object without a name that is there twice: readers differ in which one counts."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name is there twice in one object")
    return dict(pairs)


def same(one, other):
    """Whether two values agree: numbers to nine digits, since another way rounds otherwise."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) in (int, float) and type(other) in (int, float):
        return one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return type(one) is type(other) and one == other


class Run:
    """A run directory: what was read of it, what was derived, and what was found."""

    def __init__(self, root):
        self.root, self.changed, self.unproved, self.outside = root, {}, {}, Counter()
        self.hashes, self.sidecars, self.scored, self.compared, self.perf = {}, {}, {}, {}, {}
        self.labels, self.figures, self.files = {}, {}, []
        for folder, _, names in os.walk(root):
            paths = (os.path.relpath(os.path.join(folder, name), root) for name in names)
            self.files += [path.replace(os.sep, "/") for path in paths]
        self.files.sort(key=lambda name: name.split("/"))

    def bad(self, file, what):
        """A finding: what is stated is not so."""
        self.changed.setdefault((file, what))

    def doubt(self, file, what):
        """Something that could not be proved here."""
        self.unproved.setdefault((file, what))

    def figure(self, name, value, unit, file, interval=None):
        """A figure that the report must state."""
        self.figures[name] = (value, interval, unit, file)

    def attempt(self, file, work, *arguments):
        """Do a part of the proof; what damaged bytes make of it is a finding."""
        try:
            return work(self, *arguments)
        except Refused as error:
            self.bad(file, str(error))
        except DAMAGE as error:
            self.bad(file, f"it cannot be proved again ({type(error).__name__}: {error})")
        return None

    def place(self, name):
        """The path of a file inside the run directory; no name and no link leads out of it."""
        if os.path.isabs(name) or ".." in name.split("/"):
            raise Refused(f"it names a path outside the run directory: '{name}'")
        path, root = os.path.join(self.root, name), os.path.realpath(self.root)
        if os.path.commonpath([root, os.path.realpath(path)]) != root:
            raise Refused(f"a link leads out of the run directory: '{name}' was not read")
        return path

    def bytes_of(self, name):
        """The content of a file of the run directory."""
        with opened(self.place(name)) as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise Refused(f"it has over {LARGEST} bytes")
        return content

    def json_of(self, name, schema=None):
        """The JSON object in a file, of a schema."""
        try:
            text = self.bytes_of(name).decode("utf-8")
            value = json.loads(text, object_pairs_hook=unique, parse_constant=int)  # no NaN
        except (ValueError, RecursionError) as error:
            raise Refused(f"it is not JSON ({error})") from None
        if not isinstance(value, dict) or value.get("schema") != schema:
            raise Refused(f"it is no JSON object of the schema {schema}")
        return value

    def hash_of(self, name, path=None):
        """[size, SHA-256] of a file, once."""
        if name not in self.hashes:
            digest, size = hashlib.sha256(), 0
            with opened(path or self.place(name)) as file:
                while part := file.read(1 << 20):
                    digest.update(part)
                    size += len(part)
            self.hashes[name] = [size, digest.hexdigest()]
        return self.hashes[name]

    def check(self, file, place, stated, derived):
        """A finding where a stated value is not what the bytes below it give."""
        if isinstance(derived, dict) and isinstance(stated, dict):
            for key in {**derived, **stated}:
                self.check(file, f"{place} {key}".strip(), stated.get(key), derived.get(key))
        elif not same(stated, derived):
            one, other = str(stated)[:90], str(derived)[:90]
            self.bad(file, f"{place} says {one}, the bytes give {other}")


# The hashes.


def sidecar_in(run, name):
    """A sidecar with the fields that are used here."""
    proof = {"parameters": {}, "facts": {}} | run.json_of(name, "portproof.proof/1")
    for r in [*itertools.chain(*proof["inputs"].values()), *proof["outputs"]]:
        if [type(r[key]) for key in ("path", "size", "sha256")] != [str, int, str]:
            raise Refused("a record lacks path, size or SHA-256")
    if not all(isinstance(proof[key], str) for key in ("stage", "started")):
        raise Refused("it names no stage or no time")
    return proof


def hold(run, record, artefact, role=None):
    """One file against its record; an input (it has a role) may be outside, and that is said."""
    name, stated = record["path"], [record["size"], record["sha256"]]
    path = name if role and os.path.isabs(name) else None
    if not role and (os.path.isabs(name) or ".." in name.split("/")):
        run.bad(artefact + SIDECAR, f"it names an output outside the run directory: '{name}'")
    elif path and not os.path.lexists(path):
        run.doubt(os.path.dirname(path), f"a file of the role '{role}' is not on this host")
    else:
        try:
            if path and os.path.isfile(path) and os.path.getsize(path) != stated[0]:
                raise Refused(f"it has {os.path.getsize(path)} bytes, it had {stated[0]}")
            run.outside[path and os.path.dirname(path)] += name not in run.hashes
            if run.hash_of(name, path) != stated:
                raise Refused(f"it is not what '{artefact}{SIDECAR}' says (SHA-256)")
        except Refused as error:
            run.bad(name, str(error))


def hold_files(run):
    """Every record of every sidecar; what a stage read is what another wrote; none was added."""
    exports = [p["inputs"] for p in run.sidecars.values() if p["stage"] == "export"]
    read = {r["path"]: r["sha256"] for inputs in exports for r in inputs.get("weights", [])}
    wrote = {}
    for artefact, proof in run.sidecars.items():
        for r in proof["outputs"]:
            if read.get(r["path"], r["sha256"]) == r["sha256"]:
                wrote[r["path"]] = r["sha256"]
                hold(run, r, artefact)
            else:
                run.doubt(r["path"], "the port began with other weights than were trained here")
    for artefact, proof in run.sidecars.items():
        for role, records in proof["inputs"].items():
            for r in records:
                hold(run, r, artefact, role)
                if wrote.get(r["path"], r["sha256"]) != r["sha256"]:
                    run.bad(artefact, f"its {role} '{r['path']}' is not what a stage wrote")
        known = {r["path"] for r in proof["outputs"]}
        for name in run.files:
            if name.startswith(f"{artefact}/") and name not in known:
                run.bad(name, f"it was added: '{artefact}{SIDECAR}' does not name it")


def hold_seals(run, report):
    """The report's seals, each as it was; which files it must seal is known without it."""
    stated = report.get("files") if isinstance(report.get("files"), list) else []
    seals = {f["path"]: f for f in stated if isinstance(f, dict) and isinstance(f.get("path"), str)}
    for name, seal in seals.items():
        try:
            if run.hash_of(name) != [seal.get("size"), seal.get("sha256")]:
                raise Refused("it was changed since the report was written")
        except Refused as error:
            run.bad(name, f"{error}; the report seals it")
    rooms = {name: name.split("/") for name in run.files}
    due = {n for n, room in rooms.items() if room[0] == "report" or "logs" in room[-2:-1]} | MUST
    due |= {name for name in run.files if name.endswith(SIDECAR)}
    due = {n for n in due - {REPORT, OWN_LOG} if not os.path.basename(n).startswith(".")}
    for name in sorted(due - set(seals)):
        run.bad(name, "the report does not seal it: its seal was taken out, or it came later")
    if OWN_LOG in rooms and run.bytes_of(OWN_LOG) != OWN_TEXT:
        run.bad(OWN_LOG, "it is not what the step that wrote the reports prints")
    known = {r["path"] for p in run.sidecars.values() for r in p["outputs"]}
    for name in sorted(set(rooms) - known - due - set(seals) - {REPORT, OWN_LOG}):
        if STAGE_FILES.fullmatch(rooms[name][-1]):
            run.bad(name, "no sidecar says how it was made")
        elif not any(part.startswith(".") for part in rooms[name]):
            run.doubt(name, "no sidecar and no seal names it")
    card, cards = "report/card.yaml", [p["inputs"].get("card", []) for p in run.sidecars.values()]
    if card in rooms and run.hash_of(card)[1] not in [r["sha256"] for c in cards for r in c]:
        run.bad(card, "it is not the model card that the stages read")


# Accuracy.


def table(run, name):
    """The rows of a table of outcomes. An id that looks like a formula has an apostrophe first."""
    rows = list(csv.reader(io.StringIO(run.bytes_of(name).decode("utf-8")), strict=True))
    if not rows or rows[0] != ["id", "label", "predicted", "rank", "margin"]:
        raise Refused("it is no table of outcomes")
    return [[row[0].removeprefix("'"), *row[1:]] for row in rows[1:]]


def labels_of(run, record):
    """Sample id -> class, from the label file, or else from a table of outcomes that read it."""
    name, digest = record["path"], record["sha256"]
    if digest not in run.labels:
        found = {}
        if run.hashes.get(name, ["", ""])[1] == digest:
            with opened(name if os.path.isabs(name) else run.place(name)) as file:
                text = file.read(LARGEST).decode("utf-8-sig")
            for line in filter(str.strip, text.split("\n")):
                sample, label = re.fullmatch(r"\s*(\S+)\s+([0-9]{1,9})\s*", line).groups()
                found[os.path.basename(sample).split(".")[0]] = int(label)
        else:
            run.doubt(name, "the labels were taken from a table of outcomes instead")
            for proof in run.sidecars.values():
                if proof["stage"] == "topn" and proof["inputs"]["labels"][0]["sha256"] == digest:
                    shift = proof["facts"]["figures"]["classes"] == 1001
                    tables = [t for t in proof["parameters"]["written"] if t.endswith(".csv")]
                    found = {row[0]: int(row[1]) - shift for t in tables for row in table(run, t)}
        run.labels[digest] = found
    return run.labels[digest]


def outcome(row, label):
    """Predicted class (the lowest index of a tie), rank of the label (ties count against it),
    margin to the best other class, and whether another class ties with the label.
    """
    own, best = row[label], max(row)
    if any(map(math.isnan, row)) or abs(best) == math.inf:
        raise Refused("a result holds NaN or no largest number")
    rival = max(*row[:label], *row[label + 1 :], -math.inf)
    margin = 0.0 if own == rival else own - rival
    return row.index(best), sum(x >= own for x in row), margin, row.count(own) > 1


def result_files(run, folder, reading):
    """The .bin results of a folder: a reader of each by sample, a letter for their numbers, and
    None; nothing at all if they are in another form.
    """
    found = {}
    for name in os.listdir(run.place(folder)):
        match = re.fullmatch(r"([^.]+)_(\d+)\.(bin|txt|npy)", name)
        if not match:
            raise Refused(f"'{folder}/{name}' is not a result")
        found.setdefault((int(match[2]), match[3]), set()).add(match[1])
    wanted = reading["output"]
    (number, form), ids = next((k, v) for k, v in found.items() if wanted in (None, k[0]))
    if form != "bin":
        return run.doubt(folder, f"results in .{form} are not read here")
    if wanted is None and len(found) > 1:
        raise Refused("it holds several outputs")
    letter = {"float32": "f", "float16": "e"}[reading["dtype"]]
    paths = {i: f"{folder}/{i}_{number}.bin" for i in ids}
    return {i: functools.partial(run.bytes_of, path) for i, path in paths.items()}, letter, None


def packed_rows(run, folder, reading):
    """The same of packed results, ids.txt and output<k>.npy, with the SHA-256 of the rows' file."""
    *ids, rest = run.bytes_of(f"{folder}/ids.txt").decode("utf-8-sig").split("\n")
    count = len(os.listdir(run.place(folder))) - 1
    number = reading["output"] or 1
    content = run.bytes_of(f"{folder}/output{number}.npy")
    start = 10 + int.from_bytes(content[8:10], "little")
    header = ast.literal_eval(content[10:start].decode("latin-1"))
    letter = {"<f4": "f", "<f2": "e"}.get(header["descr"])
    if letter is None:
        return run.doubt(folder, f"packed results of {header['descr']} are not read here")
    size = struct.calcsize(f"<{letter}") * math.prod(header["shape"][1:])
    is_whole = content[:8] == b"\x93NUMPY\x01\0" and len(content) == start + len(ids) * size
    is_whole = is_whole and header["shape"][0] == len(ids) and not header["fortran_order"]
    if rest or len(set(ids)) < len(ids) or not is_whole or (count > 1 and not reading["output"]):
        raise Refused("it holds packed results that are not whole, or several outputs")
    rows = {i: content[start + at * size : start + at * size + size] for at, i in enumerate(ids)}
    readers = {i: functools.partial(bytes, row) for i, row in rows.items()}
    return readers, letter, hashlib.sha256(content).hexdigest()


def score(run, folder, reading, truth):
    """The outcome of every sample, in the order of the labels, from a folder of results."""
    is_packed = os.path.lexists(run.place(f"{folder}/ids.txt"))
    held = (packed_rows if is_packed else result_files)(run, folder, reading)
    if held is None:
        return None
    readers, code, whole = held
    ids = set(readers)
    odd = sorted((ids if reading["allow_missing"] else set(truth) | ids) - (set(truth) & ids))
    if odd:
        raise Refused(f"its samples are not those of the labels: {odd[:3]}")
    size = struct.calcsize(f"<{code}")
    classes, digest, rows, ties = reading["classes"], hashlib.sha256(), {}, 0
    for sample in (i for i in truth if i in ids):
        content = readers[sample]()
        digest.update(content)
        classes = classes or len(content) // size
        if len(content) != classes * size or classes < 2:
            raise Refused(f"'{sample}' has {len(content)} bytes, {classes} numbers were expected")
        label = truth[sample] + (classes == 1001)
        *judged, tied = outcome(struct.unpack(f"<{classes}{code}", content), label)
        rows[sample], ties = (label, *judged), ties + tied
    missing = [i for i in truth if i not in ids]
    return rows, classes, ties, missing, whole or digest.hexdigest()


def prove_topn(run, artefact, proof):
    """Top-N: the figures of the sidecar, result.json and the table of outcomes."""
    records, parameters, facts = proof["inputs"].get("result"), proof["parameters"], proof["facts"]
    folder = records[0]["path"].removesuffix(SIDECAR) if records else proof["command"][1]
    truth = labels_of(run, proof["inputs"]["labels"][0])
    scored = score(run, folder, parameters["result reading"], truth)
    if scored is None:
        return
    rows, classes, ties, missing, digest = scored
    tops, n, prefix = range(1, min(parameters["n"], classes) + 1), len(rows), artefact
    hits = [sum(row[2] <= k for row in rows.values()) for k in tops]
    figures = {"samples": n, "classes": classes, "hits": hits, "ties": ties, "missing": missing}
    figures["simulated"] = proof.get("simulated", False)
    run.check(artefact + SIDECAR, "figures", facts["figures"], figures)
    run.check(artefact + SIDECAR, "result sha256", facts["result sha256"], digest)
    shown = {"Number of images": str(n), "Number of classes": str(classes)}
    shown |= {
        f"Top{k} accuracy": f"{round(100 * (h / n), 2)}%" for k, h in zip(tops, hits, strict=True)
    }
    for name in parameters["written"]:
        if not name.endswith(".csv"):
            rows_shown = run.json_of(name)["value"]
            run.check(name, "", {row["key"]: row["value"] for row in rows_shown}, shown)
            continue
        run.scored[name] = scored
        due = [[i, *map(str, row[:3]), f"{row[3]:.9g}"] for i, row in rows.items()]
        pairs = itertools.zip_longest(run.attempt(name, table, name) or [], due)
        for one, other in itertools.islice((p for p in pairs if p[0] != p[1]), 1):
            run.check(name, "a row", one, other)
        prefix = os.path.dirname(name)
        run.figure(f"{prefix}/samples", n, "1", name)
        for k, h in zip(tops, hits, strict=True):
            run.figure(f"{prefix}/top{k}", h / n, "1", name, wilson(h, n))


def side_of(run, proof, at, truth):
    """One side of a comparison: its path, id -> (right, predicted class), and the classes."""
    role = ("reference", "port")[at]
    records = proof["inputs"].get(role)
    path = records[0]["path"].removesuffix(SIDECAR) if records else proof["command"][1 + at]
    scored = run.scored.get(path)
    if not path.endswith(".csv"):
        scored = score(run, path, proof["parameters"][f"{role} reading"], truth)
    if scored is None:
        raise Refused(f"'{path}' could not be scored again")
    rows, classes = scored[:2]
    return path, {i: (r[2] == 1, r[1] - (classes == 1001)) for i, r in rows.items()}, classes


def prove_compare(run, artefact, proof):
    """The paired table from both sides' results, its bounds and test, and the verdict."""
    stated, margin = (
        run.json_of(artefact, "portproof.comparison/1"),
        proof["parameters"]["margin_pp"],
    )
    truth = labels_of(run, proof["inputs"]["labels"][0])
    (_, one, classes), (path, other, more) = (side_of(run, proof, at, truth) for at in (0, 1))
    ids = [i for i in truth if i in one and i in other]
    n, cells = len(ids), Counter((one[i][0], other[i][0]) for i in ids)
    right, broken, fixed = cells[True, True], cells[True, False], cells[False, True]
    bounds = [
        100 * tango_upper(*p, n, z) for z in (Z95, Z975) for p in ((broken, fixed), (fixed, broken))
    ]
    # a reference that gives one answer to all, or is not above chance, is no ground for a verdict
    answers, classes = {one[i][1] for i in ids}, max(classes, more, 1 + max(truth.values()))
    idle = n > 1 and len({truth[i] for i in ids}) > 1 and len(answers) == 1
    idle = idle or wilson(right + broken, n, Z95)[0] <= 1 / max(classes, 2)
    verdict = "PASS" if bounds[0] < margin else "FAIL" if -bounds[1] > margin else "UNDECIDED"
    numbers = {
        "reference_accuracy": (right + broken) / n,
        "port_accuracy": (right + fixed) / n,
        "difference_pp": 100 * (fixed - broken) / n,
        "gate_bound_pp": bounds[0],
        "loss_lower_bound_pp": -bounds[1],
        "margin_pp": margin,
        "samples": n,
        "both_right": right,
        "both_wrong": cells[False, False],
        "fixed": fixed,
        "broken": broken,
        "mcnemar_p": mcnemar(fixed, broken),
        "agreement": sum(one[i][1] == other[i][1] for i in ids) / n,
    }
    derived = numbers | {"verdict": "UNDECIDED" if idle else verdict, "left_out": len(truth) - n}
    derived |= {"ci95_pp": [-bounds[2], bounds[3]], "simulated": proof.get("simulated", False)}
    run.check(artefact, "", {key: stated.get(key) for key in derived}, derived)
    run.check(artefact, "whether there is a doubt", stated.get("doubt") is not None, idle)
    label = path.split("/")[0] if artefact == "compare.json" else os.path.dirname(artefact)
    run.compared[label] = derived
    for name, value in numbers.items():
        interval = derived["ci95_pp"] if name == "difference_pp" else None
        unit = "pp" if name.endswith("_pp") else "1"
        run.figure(f"{label}/compare/{name}", value, unit, artefact, interval)


# Speed.


def is_wrong(m):
    """Whether the answers of what was timed were found to be wrong."""
    return (m.get("answers") or {}).get("ok") is False


def rate_of(m):
    """Images per second: clients x batch x calls / their seconds; None without a call, and for
    wrong answers.
    """
    calls = [s for block in m["blocks"] for s in block]
    if is_wrong(m) or sum(calls) <= 0:
        return None
    return m["clients"] * m["batch"] * len(calls) / sum(calls)


def ratio_of(a, b):
    """The median quotient of the median calls of pairs of blocks. Its interval: over the starts of
    the processes, what Wilcoxon's signed-rank test does not reject; under six starts Student's t;
    never without it, nor without the quotient of the medians of all calls.
    """

    def starts(m):
        ends = [0, *itertools.accumulate(m.get("starts") or [1] * len(m["blocks"]))]
        return [m["blocks"][i:j] for i, j in itertools.pairwise(ends)]

    def speed(m, block):
        return m["clients"] / statistics.median(block)

    every = []
    for mine, theirs in zip(starts(a), starts(b), strict=False):
        pairs = [(x, y) for x, y in zip(mine, theirs, strict=False) if x and y]
        every.append([math.log(speed(a, x) / speed(b, y)) for x, y in pairs])
    found = {"ratio": math.exp(statistics.median(itertools.chain(*every))), "ci95": None}
    logs = [statistics.median(of_start) for of_start in every if of_start]
    n = len(logs)
    if n < 4:
        return found
    if n < 6:
        mid, half = statistics.mean(logs), t_quantile(0.95, n - 1) * statistics.stdev(logs)
        ends = [mid - half / math.sqrt(n), mid + half / math.sqrt(n)]
    else:
        pairs = itertools.combinations_with_replacement(logs, 2)
        means = sorted((x + y) / 2 for x, y in pairs)
        sums = collections.Counter({0: 1})  # of the ranks that bear a plus, over all signs
        for rank in range(1, n + 1):
            sums += collections.Counter({total + rank: ways for total, ways in sums.items()})
        cut = next(k for k in itertools.count() if sum(sums[i] for i in range(k + 1)) > 2**n / 40)
        ends = [means[cut - 1], means[-cut]]
    whole = [speed(m, [*itertools.chain(*m["blocks"])]) for m in (a, b)]
    held = [*map(math.exp, ends), found["ratio"], whole[0] / whole[1]]
    return found | {"ci95": [min(held), max(held)]}


def unsteady(m):
    """How the reasons against the clock begin that the seconds give: block medians whose middle
    half spreads over 10 %, or that drift over 5 % by a line through their logarithms (t test, 1 %).
    """
    medians = [statistics.median(block) for block in m["blocks"] if block]
    if len(medians) < 6 or m["backend"] == "trtexec":
        return []
    where = f"{m['label']}, batch {m['batch']}, {m['boundary']}: "
    low, middle, high = statistics.quantiles(medians, n=4, method="inclusive")
    found = [f"{where}the middle half"] if (high - low) / middle > 0.1 + 1e-9 else []
    logs, at = [math.log(x) for x in medians], range(len(medians))
    slope, start = statistics.linear_regression(at, logs)
    rest = sum((y - start - slope * x) ** 2 for x, y in zip(at, logs, strict=True)) / (len(at) - 2)
    if abs(math.expm1(slope * at[-1])) > 0.05 + 1e-9:
        error = math.sqrt(rest / (statistics.pvariance(at) * len(at)))
        t = abs(slope) / error if error else math.inf
        found += [f"{where}calls became"] if t_inside(t, len(at) - 2) > 0.99 + 1e-9 else []
    return found


def prove_bench(run, artefact, proof):
    """Ratios, wrong answers and doubts about the clock, from the raw seconds; then the figures."""
    perf = run.json_of(artefact, "portproof.perf/1")
    timed, reasons = perf["measurements"], perf.get("reasons", [])
    if any(s < 0 for m in timed for block in m["blocks"] for s in block):
        raise Refused("a call took less than no time")
    sides = {(m["label"], m["batch"], m["boundary"]): m for m in timed}
    if perf.get("ratios") and proof["revision"] < 2:
        raise Refused("an earlier version formed its ratios in another way: bench again")
    for r in perf.get("ratios", []):
        a, b = (sides.get((r[side], r["batch"], r["boundary"])) for side in "ab")
        place = f"the ratio {r['a']}:{r['b']} at batch {r['batch']}"
        if a and b and not (a.get("starts") and b.get("starts")):
            run.doubt(artefact, f"{place} was measured in one start of the processes")
        elif a and b and rate_of(a) and rate_of(b):
            run.check(artefact, place, {"ratio": r["ratio"], "ci95": r["ci95"]}, ratio_of(a, b))
        else:
            run.bad(artefact, f"{place} is of what has no rate")
    wrong = [
        f"{m['label']}, batch {m['batch']}: {m['answers']['reason']}" for m in timed if is_wrong(m)
    ]
    run.check(artefact, "wrong", perf.get("wrong", []), list(dict.fromkeys(wrong)))
    run.check(artefact, "whether it is unstable", perf.get("status") == "unstable", bool(reasons))
    for start in itertools.chain(*map(unsteady, timed)):
        if not any(reason.startswith(start) for reason in reasons):
            run.bad(artefact, f"the reasons do not say: {start} ...")
    calls = sum(len(block) for m in timed for block in m["blocks"])
    run.doubt(artefact, f"the seconds of {calls} calls, the counters and the answers were measured")
    if os.path.basename(artefact) == "perf.json":
        perf_figures(run, artefact, perf)


def perf_figures(run, artefact, perf):
    """The figures that a report takes from a measurement."""
    label, best = os.path.dirname(artefact), {}
    run.perf[label] = (perf, best)
    for m in perf["measurements"]:
        rate, calls = rate_of(m), sorted(itertools.chain(*m["blocks"]))
        prefix = f"{label}/perf/{m['label']}/bs{m['batch']}/{m['boundary']}"
        run.figure(f"{prefix}/rate", rate, "images/s", artefact)
        run.figure(f"{prefix}/calls", len(calls), "1", artefact)
        for p, least in ((50, 20), (90, 100), (99, 1000)):  # nearest rank, ten calls beyond
            is_known = len(calls) >= least and not is_wrong(m)
            value = calls[-(-p * len(calls) // 100) - 1] if is_known else None
            run.figure(f"{prefix}/p{p}", value, "s", artefact)
        for name in ("load_s", "first_inference_s"):
            value = None if is_wrong(m) else m.get(name)
            run.figure(f"{prefix}/{name}", value, "s", artefact)
        if rate and m["boundary"] == "call" and rate > best.get(m["label"], (0, 0))[1]:
            best[m["label"]] = (m["batch"], rate)
    for r in perf.get("ratios", []):
        name = f"{label}/perf/{r['a']}:{r['b']}/bs{r['batch']}/{r['boundary']}/ratio"
        run.figure(name, r["ratio"], "1", artefact, r["ci95"])
    for name in best:
        run.figure(f"{label}/perf/{name}/best_batch", best[name][0], "1", artefact)
        run.figure(f"{label}/perf/{name}/best_rate", best[name][1], "images/s", artefact)


# The report.


def settings_of(run):
    """The settings that decide: lines 'name: value'; a line that begins with a blank goes on."""
    found = {"gate": "accuracy", "margin_pp": "1.0", "task": "classification"}
    for line in run.bytes_of(SETTINGS).decode("utf-8").splitlines():
        match = re.fullmatch(r"(\w+):(?: (.*))?", line)
        if not match and line.strip() and line[0] not in " -#":
            raise Refused(f"it is damaged: {line[:60]!r}")
        found |= {match[1]: (match[2] or "").strip("'\" ")} if match else {}
    if found.get("schema") != "portproof.port/1":
        raise Refused(f"it has the schema {found.get('schema')!r}")
    margin = found["margin_pp"]
    return found | {"margin_pp": None if margin == "null" else float(margin)}


def is_asked(settings, name):
    """Whether a figure or a label is of the port as it is set now: in a folder that was used
    before, results of other targets and batches may stand too, and are in no report.
    """
    label, batch = [*name.split("/"), ""][:2]
    targets = re.findall(r"[\w.-]+", settings.get("targets", ""))
    labels = {"eager", "conversion", *(re.sub("^cpu", "ort", name) for name in targets)}
    sizes = [int(size) for size in re.findall(r"\d+", settings.get("batches", ""))]
    used = {f"bs{size}" for size in (min(sizes), max([s for s in sizes if s <= 16] or sizes[:1]))}
    of_all = name.endswith(("/end_to_end", "/tool_rate"))  # of every sidecar
    right_batch = not batch.startswith("bs") or batch in used
    return of_all or (label.removesuffix("_aoe") in labels and right_batch)


def speed_verdict(run, label):
    """The verdict of the speed gate: of the ratio to the reference at the port's best batch; a
    device is timed alone, and has no ratio.
    """
    none = ({"measurements": []}, {})
    timed = [p for p in run.perf.values() if label in {m["label"] for m in p[0]["measurements"]}]
    perf, best = run.perf.get(label) or (timed or [none])[0]
    others = {m["label"] for m in perf["measurements"]} - {label, "eager"}
    starts = tuple(f"{other}, " for other in others)
    wrong, doubts = (
        [s for s in perf.get(key, []) if not s.startswith(starts)] for key in ("wrong", "reasons")
    )
    if not perf["measurements"]:
        return None
    names = ("a", "b", "batch", "boundary")
    wanted = (label, "eager", best.get(label, (None,))[0], "call")
    between = [r for r in perf.get("ratios", []) if tuple(r[key] for key in names) == wanted]
    alone = not any(m["label"] == "eager" for m in perf["measurements"])
    if wrong:
        return "FAIL"
    if not between and not alone:
        return None
    if doubts and not (alone and perf.get("simulated")):
        return "UNSTABLE"
    if alone or between[0]["ci95"] is None:
        return "UNDECIDED"
    low, high = between[0]["ci95"]
    return "PASS" if low >= 1 else "FAIL" if high < 1 else "UNDECIDED"


def prove_gates(run, report, settings):
    """The gates, the reason of the accuracy's, and the verdict, from what was derived."""
    stated = {f"{g['label']} {g['name']}": (g["verdict"], g["reason"]) for g in report["gates"]}
    if settings["task"] != "classification":
        run.doubt(REPORT, f"the gates are of the task {settings['task']}: 'portproof verify' knows")
        return
    gates, labels = {}, {g["label"] for g in report["gates"]}
    asked = {n: c for n, c in run.compared.items() if n in labels or is_asked(settings, n)}
    for label, c in asked.items():
        run.check(SETTINGS, "margin_pp", settings["margin_pp"], c["margin_pp"])
        gates |= {f"{label} accuracy": c["verdict"], f"{label} speed": speed_verdict(run, label)}
        reason = (
            f"{c['port_accuracy']:.2%} against {c['reference_accuracy']:.2%}, difference"
            f" {c['difference_pp']:+.2f} pp over {c['samples']} samples; the loss is under"
            f" {c['gate_bound_pp']:.2f} pp (95 %), {c['margin_pp']:g} pp is allowed"
        )
        said = stated.get(f"{label} accuracy", (None, None))[1]
        run.check(REPORT, f"the reason of {label} accuracy", said, reason)
    gates = dict.fromkeys(stated) | gates
    run.check(REPORT, "gate", {name: gate[0] for name, gate in stated.items()}, gates)
    run.check(REPORT, "gates", sorted(stated), sorted(gates))
    deciding = {v for name, v in gates.items() if settings["gate"] in ("all", name.split()[-1])}
    worst = [w for v, w in ((None, "NOT FINISHED"), ("FAIL", "FAIL")) if v in deciding]
    word = [*worst, "UNDECIDED" if deciding - {"PASS"} else "PASS"][0]
    run.check(REPORT, "verdict", report.get("verdict"), word)


def prove_origins(run, report):
    """Where the port began: inputs that no stage made, by role; versions, host, rehearsal."""
    proofs, roles, versions = list(run.sidecars.values()), {}, {}
    made = {r["path"] for p in proofs for r in p["outputs"]} | {n + SIDECAR for n in run.sidecars}
    for proof in proofs:
        versions |= proof["versions"]
        for role, records in proof["inputs"].items():
            for r in (r for r in records if r["path"] not in made):
                roles.setdefault(role, {}).setdefault(r["path"], r["sha256"])
    for role, files in roles.items():
        path, digest = next(iter(files.items()))
        if len(files) > 1:
            lines = "".join(f"{sha}  {name}\n" for name, sha in files.items())
            path = os.path.dirname(path)
            digest = hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
        roles[role] = [len(files), path, digest]
    stated = {o["role"]: [o["files"], o["path"], o["sha256"]] for o in report["origins"]}
    run.check(REPORT, "origins", stated, roles)
    run.check(REPORT, "versions", report["versions"], versions)
    run.check(REPORT, "environment", report["environment"], proofs[-1]["environment"])
    rehearsed = any(p.get("simulated") for p in proofs)
    run.check(REPORT, "simulated", report["simulated"], rehearsed)


def prove_figures(run, report, settings):
    """Every figure of the report: value, interval, unit and file."""
    for artefact, proof in run.sidecars.items():
        facts, sidecar = proof["facts"], artefact + SIDECAR
        for name in ("max_difference", "allowed_difference", "spread"):
            if artefact == "model.onnx":
                run.figure(f"conversion/{name}", facts.get(name), "logits", sidecar)
        for key, name in (("end_to_end", "end_to_end"), ("rate", "tool_rate")):
            timed = facts.get(key)
            if isinstance(timed, dict):
                rate, took = timed.get("images_per_second"), timed.get("seconds")
                run.figure(f"{artefact}/{name}", rate, "images/s", sidecar)
                if took and "devices" not in facts:
                    run.check(sidecar, f"{key}: the rate", rate, timed["samples"] / took)
    stated = {f["id"]: (f["value"], f["ci95"], f["unit"], f["file"]) for f in report["figures"]}
    for name in {**stated, **run.figures}:
        one, other = stated.get(name), run.figures.get(name)
        if one is None and not is_asked(settings, name):
            run.doubt(os.path.dirname(name), "of no target or batch of port.yaml: left over?")
        elif other is None and ("card" in name or settings["task"] != "classification"):
            run.doubt(REPORT, f"figure {name}: this program does not know how to derive it")
        else:
            run.check(REPORT, f"figure {name}", one, other)


def prove_report(run):
    """The report for machines: its seals, origins, gates and figures."""
    report = run.json_of(REPORT, "portproof.report/1")
    run.attempt(REPORT, hold_seals, report)
    run.attempt(REPORT, prove_origins, report)
    settings = run.attempt(SETTINGS, settings_of)
    if settings:
        run.attempt(REPORT, prove_gates, report, settings)
        run.attempt(REPORT, prove_figures, report, settings)
    run.doubt("report", "pages, tables and plots: held by seals; 'portproof verify' renders them")


def prove(root):
    """Everything of a run directory; gives what was found."""
    run = Run(root)
    names = [name for name in run.files if name.endswith(SIDECAR)]
    read = [(n.removesuffix(SIDECAR), run.attempt(n, sidecar_in, n)) for n in names]
    run.sidecars = dict(sorted((r for r in read if r[1]), key=lambda r: r[1]["started"]))
    run.attempt(REPORT, hold_files)
    kinds = {"topn": prove_topn, "compare": prove_compare, "bench": prove_bench}
    kinds["trtbench"] = prove_bench
    for kind, work in kinds.items():
        for artefact, proof in run.sidecars.items():
            if proof["stage"] == kind:
                run.attempt(artefact, work, artefact, proof)
    for artefact, proof in run.sidecars.items():
        if proof["stage"] not in kinds:
            run.doubt(artefact, f"'{proof['stage']}' was not run again: held by its hashes")
    run.attempt(REPORT, prove_report)
    return run


def show(run):
    """Print a line a finding (ten of a kind in a folder), what was not proved, and the sum."""
    groups = {}
    for file, what in run.changed:
        groups.setdefault((os.path.dirname(file), what), []).append(file)
    lines = []
    for (folder, what), files in groups.items():
        lines += [f"CHANGED {file}: {what}" for file in files[:10]]
        if len(files) > 10:
            lines.append(f"CHANGED {len(files) - 10} more files in '{folder}': {what}")
    lines += [f"not proved {file}: {what}" for file, what in run.unproved]
    outside = [(folder, count) for folder, count in run.outside.items() if folder and count]
    lines += [f"read outside the run directory: {c} files in '{d}'" for d, c in outside]
    said = f"{len(run.changed)} findings" if run.changed else "all that is stated agrees"
    lines.append(f"reprove: {said}; {len(run.hashes)} files, {len(run.figures)} figures")
    for line in lines:
        print("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


def main():
    """The command; exit code 0: all agrees, 1: a finding, 2: no run directory."""
    codes = "exit codes: 0 all agrees, 1 a finding, 2 no run directory"
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"example:\n  python tools/reprove.py theirs\n\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run_dir", help="a run directory of 'portproof port'")
    root = parser.parse_args().run_dir
    if not any(os.path.isfile(os.path.join(root, name)) for name in (SETTINGS, REPORT)):
        expected = f"it has no {SETTINGS}; give the folder that 'portproof port' wrote"
        print(f"reprove: '{root}' is no run directory: {expected}", file=sys.stderr)
        return 2
    run = prove(root)
    show(run)
    return 1 if run.changed else 0


if __name__ == "__main__":
    sys.exit(main())
