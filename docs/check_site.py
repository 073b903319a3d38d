"""Check built pages: ``python docs/check_site.py docs/_build/html``.

Every link inside of the site must lead to a file and to an anchor that are there. Some pages are
opened in a browser, if there is one: nothing may appear in the console, and all formulas must have
been set. Prints what is wrong, and exits with status 1 then.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPENED = (
    "index.html",
    "getting_started.html",
    "api.html",
    "benchmarks.html",
    "user_guide/index.html",
    "auto_examples/index.html",
    "user_guide/scattering.html",
    "generated/skwave.ScatteringTransformer.html",
)


class Page(HTMLParser):
    """Anchors, links and formulas of a page."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.n_formulas = set(), set(), 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        """Note what a tag refers to, and what can refer to it."""
        found = dict(attributes)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        self.links |= {found[key] for key in ("href", "src") if found.get(key)}
        self.n_formulas += "math" in (found.get("class") or "").split()


def broken_links(site):
    """Links of all pages to files or anchors that do not exist, and the number of links."""
    paths = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    pages = {path.resolve(): Page(path) for path in paths}
    faults, n_links = [], 0
    for path, page in pages.items():
        for link in sorted(page.links):
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            n_links += 1
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            anchor = unquote(url.fragment)
            if not target.is_file():
                faults.append(f"{path.relative_to(site)}: no file {link}")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                faults.append(f"{path.relative_to(site)}: no anchor {link}")
    return faults, len(pages), n_links


def opened(browser, path):
    """What is wrong with a page in the browser."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
        options += [f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom"]
        run = subprocess.run(
            [browser, *options, path.as_uri()], capture_output=True, text=True, timeout=300
        )
    # the log does not tell errors from messages; those of the theme begin with [PST]
    found = re.findall(r'CONSOLE[^\]]*\] ((?!"\[PST\]).+)', run.stderr)
    if "</html>" not in run.stdout:
        found.append(f"not shown by {browser}, status {run.returncode}: {run.stderr[-300:]}")
    set_formulas, expected = run.stdout.count("<mjx-container"), Page(path).n_formulas
    if set_formulas < expected:
        found.append(f"{set_formulas} of {expected} formulas set")
    if "data-mjx-error" in run.stdout:
        found.append("a formula with an error")
    return found


def main(site):
    """Check the pages under a folder."""
    site = Path(site).resolve()
    faults, n_pages, n_links = broken_links(site)
    print(f"{n_pages} pages, {n_links} links inside of the site")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"NO BROWSER: none of {', '.join(BROWSERS)} is there, so no page was opened")
    else:
        for name in OPENED:
            faults += [f"{name}: {fault}" for fault in opened(browser, site / name)]
        print(f"{len(OPENED)} pages opened in {browser}")
    for fault in faults:
        print("FAULT", fault)
    return bool(faults) or not n_pages


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
