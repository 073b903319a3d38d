"""Configuration of Sphinx: `python -m sphinx -W -b html docs docs/_build/html`."""

import inspect
import sys
from collections import namedtuple
from operator import attrgetter
from pathlib import Path

import skwave

sys.path.insert(0, str(Path(__file__).parent))
import _benchmarks

_REPOSITORY = "https://github.com/skwave/skwave"

project = "skwave"
author = "The skwave developers"
project_copyright = author
version = release = skwave.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.linkcode",
    "myst_parser",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
default_role = "py:obj"
# a copy in the repository: the pages are read without a network as well
mathjax_path = "mathjax/tex-svg.js"

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"demo\.py|__init__\.py",
    "doc_module": ("skwave",),
    "backreferences_dir": "generated/backreferences",
    "capture_repr": ("_repr_html_", "__repr__"),
    "download_all_examples": False,
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "only_warn_on_example_error": False,
    "min_reported_time": 0,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "skwave"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
html_css_files = ["skwave.css"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"getting_started": [], "benchmarks": []}
html_theme_options = {
    "logo": {"text": "skwave", "image_light": "_static/logo.svg", "image_dark": "_static/logo.svg"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher", "navbar-icon-links"],
    "icon_links": [{"name": "Repository", "url": _REPOSITORY, "icon": "fa-brands fa-github"}],
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
}

_field = type(namedtuple("_", "field").field)


def skip_member(app, what, name, obj, skip, options):
    """Leave out fitted attributes and fields, told by the class, and what scikit-learn adds."""
    inherited = (getattr(obj, "__module__", None) or "").startswith("sklearn")
    return True if inherited or name.endswith("_") or isinstance(obj, _field) else None


def linkcode_resolve(domain, info):
    """Address of the source of an object."""
    try:
        found = attrgetter(info["fullname"])(sys.modules[info["module"]])
        found = inspect.unwrap(getattr(found, "fget", None) or found)
        lines, first = inspect.getsourcelines(found)
        path = Path(inspect.getsourcefile(found)).relative_to(Path(skwave.__file__).parents[1])
    except (AttributeError, KeyError, TypeError, OSError, ValueError):
        return None  # a constant, or what another library has written
    branch = "main" if "dev" in release else f"v{release}"
    last = first + len(lines) - 1
    return f"{_REPOSITORY}/blob/{branch}/{path.as_posix()}#L{first}-L{last}"


def write_benchmarks(app):
    """Make the tables of the benchmarks from the results that are in the repository."""
    _benchmarks.write(Path(app.srcdir, "generated", "benchmarks.txt"))


def setup(app):
    """Connect the hooks above."""
    app.connect("autodoc-skip-member", skip_member)
    app.connect("builder-inited", write_benchmarks)
