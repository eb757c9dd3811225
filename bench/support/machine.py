"""What a reader must know about the machine to judge a figure."""
import os
import platform
import subprocess


def first_line(*command, environment=None):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = done.stdout.strip()
    return text.splitlines()[0] if done.returncode == 0 and text else ""


def processor():
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def facts(python, r_library):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    r_environment = dict(os.environ, R_LIBS=r_library)
    r_packages = "cat(R.version$major, R.version$minor, sep='.');for(p in c('bigmemory','Rcpp')) if (" \
                 "requireNamespace(p, quietly=TRUE)) cat(',', p, format(packageVersion(p)))"
    python_packages = "import importlib.metadata as m, platform\n" \
                      "def v(n):\n  try: return f', {n} {m.version(n)}'\n  except m.PackageNotFoundError: return ''\n" \
                      "print(platform.python_version() + ''.join(map(v, ['numpy','pandas','pyarrow','joblib'])))"
    return {
        "processor": processor(),
        "processors": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "compiler": first_line("c++", "--version"),
        "r": first_line("Rscript", "--no-init-file", "-e", r_packages, environment=r_environment),
        "python": first_line(python, "-c", python_packages),
        "load_before": os.getloadavg()[0],
    }
