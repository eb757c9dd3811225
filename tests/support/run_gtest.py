#!/usr/bin/env python3
"""Runs GoogleTest programs one after the other and adds up what they say.

    run_gtest.py [--seconds N] [--filter F] [--under WORD...] -- PROGRAM...

Prints a line for each program, the failures in full, and each skipped test with its reason. The last line is
`N passed, N failed, N skipped`; the exit status is 0 only if none failed. A program that crashes, hangs or runs no test
counts as failed: no silence looks like success.
"""
import argparse
import collections
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile


def run(command, program, seconds, chosen):
    name = os.path.basename(program)
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        words = command + [program, "--gtest_output=json:" + report] + (["--gtest_filter=" + chosen] if chosen else [])
        try:
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
                                  errors="replace")
            output, status = done.stdout, done.returncode
        except subprocess.TimeoutExpired as late:
            output, status = (late.stdout or b"").decode(errors="replace"), f"still running after {seconds} s"
        except OSError as error:
            output, status = "", str(error)
        try:
            with open(report) as file:
                cases = [case for suite in json.load(file)["testsuites"] for case in suite["testsuite"]]
        except (OSError, ValueError, KeyError):
            cases = None
    if cases is None:
        # It died: what it had done so far stands in its output.
        passed = len(re.findall(r"^\[       OK \]", output, re.M))
        if isinstance(status, int) and status < 0:
            status = signal.Signals(-status).name
        print(f"FAILED  {name}: ended early ({status}) after {passed} tests")
        print("\n".join("        " + line for line in output.splitlines()[-60:]))
        return passed, 1, 0
    passed = failed = skipped = 0
    reasons = collections.Counter()
    for case in cases:
        if case.get("failures"):
            failed += 1
            print(f"FAILED  {name}: {case['classname']}.{case['name']}")
            for failure in case["failures"]:
                print("\n".join("        " + line for line in failure["failure"].splitlines()[:25]))
        elif case.get("result") == "SKIPPED" or case.get("skipped"):
            skipped += 1
            texts = [each.get("message", "") for each in case.get("skipped", [])]
            if not any(texts):  # older GoogleTest does not write the reason into its report
                found = re.search(r"^\[ RUN      \] " + re.escape(f"{case['classname']}.{case['name']}") +
                                  r"$(.*?)^\[  SKIPPED \]", output, re.M | re.S)
                texts = [line for line in (found.group(1).splitlines() if found else []) if line.strip()
                         and not re.match(r".*:\d+: Skipped$", line)]
            reasons[" ".join(texts).strip() or "no reason given"] += 1
        elif case.get("status") != "NOTRUN":
            passed += 1
    if failed == 0 and status != 0:
        failed += 1
        print(f"FAILED  {name}: all tests passed, but it ended with {status}")
        print("\n".join("        " + line for line in output.splitlines()[-40:]))
    if passed + failed + skipped == 0:
        failed += 1
        print(f"FAILED  {name}: it ran no test")
    if failed == 0:
        print(f"ok      {name}: {passed} passed" + (f", {skipped} skipped" if skipped else ""))
    for reason, times in reasons.items():
        print(f"skipped {name}: {times} x {reason}")
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=400, help="for one program")
    parser.add_argument("--filter", default="")
    parser.add_argument("--under", default="", help="a command that runs the program, in shell words")
    parser.add_argument("programs", nargs="*")
    options = parser.parse_args()
    totals = [0, 0, 0]
    if not options.programs:
        print("FAILED  there is no program to run: were the tests built?")
        totals[1] = 1
    for program in options.programs:
        for i, count in enumerate(run(shlex.split(options.under), program, options.seconds, options.filter)):
            totals[i] += count
        sys.stdout.flush()
    print("{} passed, {} failed, {} skipped".format(*totals))
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
