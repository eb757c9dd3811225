"""From samples to the table that people read."""
import statistics


def summarize(row, judge=True):
    """Adds medians, the ratio and, if `judge`, whether the goal was met to a row as a program wrote it."""
    if "not_run" in row:
        return
    ours, baseline = row.get("ours") or [], row.get("baseline") or []
    row["median"] = statistics.median(ours) if ours else None
    row["baseline_median"] = statistics.median(baseline) if baseline else None
    row["ratio"] = None
    if row["median"] is not None and row["baseline_median"]:
        row["ratio"] = row["median"] / row["baseline_median"]
    goal = row.get("goal")
    row["goal"] = goal = goal[0] if isinstance(goal, list) else goal
    row["met"] = None
    if row.get("goal_of") and judge:
        reached = row["ratio"] if row["goal_of"] == "ratio" else row["median"]
        if reached is not None:
            row["met"] = reached >= goal if row["goal_at"] == "least" else reached <= goal


def number(value, unit):
    """As a person says it: 12.3 us, 1.4 GB/s, 45,000/s, 1.2 MB."""
    if value is None:
        return ""
    if unit in ("s", "ms", "us", "ns"):
        seconds = value * {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[unit]
        for name, size in (("s", 1), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
            if abs(seconds) >= size or name == "ns":
                return f"{plain(seconds / size)} {name}"
    if unit == "bytes":
        for name, size in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3), ("B", 1)):
            if abs(value) >= size or name == "B":
                return f"{plain(value / size)} {name}"
    if unit == "1/s":
        return f"{plain(value)}/s"
    return f"{plain(value)} {unit}".rstrip()


def plain(value):
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def goal_text(row):
    if not row.get("goal_of"):
        return ""
    sign = "≥" if row["goal_at"] == "least" else "≤"
    if row["goal_of"] == "ratio":
        return f"{sign} {plain(row['goal'])} x"
    return f"{sign} {number(row['goal'], row['unit'])}"


HEADINGS = ("what", "ours", "baseline", "ratio", "goal", "met")


def cells(row):
    if "not_run" in row:
        return (row["what"], "", "", "", "", f"not run: {row['not_run']}")
    ratio = f"{row['ratio']:.2f} x" if row["ratio"] is not None and row["ratio"] < 100 else \
        f"{row['ratio']:,.0f} x" if row["ratio"] is not None else ""
    if row["ratio"] is not None and row["ratio"] < 0.01:
        ratio = f"1/{1 / row['ratio']:,.0f} x" if row["ratio"] > 0 else "0 x"
    baseline = number(row["baseline_median"], row["unit"])
    if row.get("against"):
        baseline = f"{baseline} ({row['against']})" if baseline else row["against"]
    met = {None: "", True: "yes", False: "NO"}[row["met"]]
    return (row["what"], number(row["median"], row["unit"]), baseline, ratio, goal_text(row), met)


def parts_of(result):
    parts = {}
    for row in result["rows"]:
        parts.setdefault(row["part"], []).append(row)
    return parts


def counts(result):
    rows = result["rows"]
    met = sum(1 for row in rows if row.get("met") is True)
    missed = sum(1 for row in rows if row.get("met") is False)
    not_run = sum(1 for row in rows if "not_run" in row)
    return f"{met} goals met, {missed} missed, {not_run} not run, {len(rows) - met - missed - not_run} without a goal"


def machine_text(result):
    m = result["machine"]
    return [f"{m['processors']} x {m['processor']}, {m['memory_gib']} GiB, Linux {m['kernel']}; {m['compiler']}; "
            f"R {m['r'] or 'none'}; Python {m['python'] or 'none'}",
            f"load {m['load_before']:.1f} before, {m['load_after']:.1f} after; {result['seconds']} s; {result['when']}"]


def as_text(result):
    lines = []
    for part, rows in parts_of(result).items():
        body = [cells(row) for row in rows]
        widths = [max(len(line[i]) for line in [HEADINGS, *body]) for i in range(5)]
        widths = [min(width, limit) for width, limit in zip(widths, (64, 12, 56, 10, 12))]
        lines += ["", f"== {part}"]
        for line in [HEADINGS, *body]:
            lines.append("  ".join(text.ljust(width) for text, width in zip(line, widths)) + "  " + line[5])
    return "\n".join([*lines, "", *machine_text(result), counts(result)])


def into_document(path, result):
    """Replaces what stands between the two marks of the document with the result."""
    begin, end = "<!-- begin: written by bench/run --docs -->", "<!-- end -->"
    text = path.read_text()
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    lines = [begin, "", f"`{result['command']}`: {machine_text(result)[0]}. {machine_text(result)[1].capitalize()}.", "",
             f"{counts(result)}. The ratio is ours / baseline."]
    for part, rows in parts_of(result).items():
        lines += ["", f"### {part}", "", "| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
        for row in rows:
            note = f"<br>{row['note']}" if row.get("note") else ""
            first, *others = (cell.replace("|", "\\|") for cell in cells(row))
            lines.append("| " + " | ".join([first + note.replace("|", "\\|"), *others]) + " |")
    lines += ["", end]
    path.write_text(before + "\n".join(lines) + after)
