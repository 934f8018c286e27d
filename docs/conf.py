"""How the documentation is built: ``sphinx-build -n -W docs build/docs``."""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "leaky"
copyright = "the authors of leaky"
version = release = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "making"]
exclude_patterns = ["_build"]
highlight_language = "none"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
autoclass_content = "class"
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
toc_object_entries = False

# Types of others: their documentation is not asked for, so that pages build without a network.
nitpick_ignore = [
    # not for users, though signatures name them
    ("py:class", "leaky.checkup.rules.rule.Rule"),
    ("py:class", "leaky.conversion.selection.Selection"),
    ("py:class", "leaky.evidence.statistics.Counted"),
    ("py:class", "leaky.evidence.statistics.Batch"),
    ("py:class", "leaky.torch.slopes.KeepsSlopes"),
    ("py:class", "leaky.tuning.layers.LayerSearch"),
    ("py:func", "leaky.torch.watch.watch"),
]
nitpick_ignore_regex = [(r"py:.*", r"(?!leaky).*")]
linkcheck_timeout = 20

html_theme = "pydata_sphinx_theme"
html_title = "leaky"
templates_path = ["templates"]
html_static_path = ["static"]
html_css_files = ["leaky.css"]
html_sidebars = {"**": ["all-pages.html"]}
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "navbar_center": [],
    "navbar_end": ["theme-switcher"],
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
