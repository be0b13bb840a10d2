"""Which code depends on which: one table for both engines, checked against what modules really import."""

import ast
from pathlib import Path

import pytest
import yaml

from pellucid import readers, systems
from pellucid.stages import sources

ROOT = Path(__file__).parents[2]
PACKAGE = sources.PACKAGE
BASE = {
    *("__init__.py", "artifacts.py", "complaints.py", "config.py", "errors.py"),
    *("parts.py", "public.py", "schema.py", "settings.py", "store.py"),
    *("readers/__init__.py", "stages/__init__.py", "stages/sources.py", "systems/__init__.py"),
}
"""What says how things are written, not what: in no stage's sources."""

SHARED = {"preprocess", "learning", "attribution", "plotting"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def module_file(name: str) -> str | None:
    """Return the file of a module of the package, below it."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate.relative_to(PACKAGE).as_posix()
    return None


def imported(path: Path) -> set[str]:
    """Return the names a module imports, at its top or inside functions, in full."""
    package = ["pellucid", *path.relative_to(PACKAGE).parent.parts]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            whole = ".".join(filter(None, (start, node.module)))
            names |= {
                f"{whole}.{alias.name}" if module_file(f"{whole}.{alias.name}") else whole for alias in node.names
            }
    return names


def own(path: Path) -> set[str]:
    """Return the files of the package that a module imports."""
    return {file for name in imported(path) if name.startswith("pellucid") and (file := module_file(name))}


def layer(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def fillings() -> list[tuple[str, dict[str, str]]]:
    """Return every stage with every system or reader it may be run for."""
    found = []
    for stage, paths in sources.SOURCES.items():
        text = " ".join(paths)
        if "{system}" in text:
            found += [(stage, {"system": name}) for name in systems.SYSTEMS]
        elif "{reader}" in text:
            found += [(stage, {"reader": name}) for name in readers.READERS]
        else:
            found.append((stage, {}))
    return found


def test_dvc_and_snakemake_watch_the_same_sources():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    declared = {}
    for name, stage in stages.items():
        deps = [dep for dep in stage.get("do", stage)["deps"] if dep.startswith("workflow/")]
        plain = [dep.removeprefix("workflow/pellucid/").replace("${item.", "{") for dep in deps]
        declared[name] = set(plain)
    assert declared == {stage: set(paths) for stage, paths in sources.SOURCES.items()}


@pytest.mark.parametrize(
    ("stage", "names"), fillings(), ids=lambda value: value if isinstance(value, str) else "-".join(value.values())
)
def test_a_stage_imports_only_what_it_declares(stage, names):
    declared = sources.paths(stage, **names)
    files = [path for source in declared for path in sorted([PACKAGE / source, *(PACKAGE / source).rglob("*.py")])]
    for path in files:
        if path.is_file():
            outside = {
                file
                for file in own(path) - BASE
                if not any(file == source or file.startswith(f"{source}/") for source in declared)
                and not (file.startswith("systems/") and file.count("/") == 2 and file.endswith("__init__.py"))
            }
            assert not outside, f"{path.relative_to(PACKAGE)} imports {sorted(outside)}, which {stage} does not declare"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path):
    here = path.relative_to(PACKAGE).as_posix()
    foreign = {name.partition(".")[0] for name in imported(path)}
    assert not foreign & {"snakemake", "dvc"}, "the engines call the package, not the other way round"
    allowed = {
        **dict.fromkeys(SHARED, SHARED),
        "readers": {"readers"},
        "systems": {"systems", *SHARED} | ({"readers"} if "/simulate/" in here else set()),
        "stages": {"stages", "systems", "readers", *SHARED},
        "config": {"systems", "readers", "complaints"},
        "engines": {"config"},
        "cli": {"stages"},
    }.get(layer(here), set())
    upward = {file for file in own(path) - BASE if layer(file) not in allowed}
    assert not upward, f"{here} imports {sorted(upward)}"


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_a_system_imports_no_other_system(name):
    for path in (PACKAGE / "systems" / name).rglob("*.py"):
        others = {f for f in own(path) if f.startswith("systems/") and not f.startswith(f"systems/{name}/")} - BASE
        assert not others, f"{path} imports {sorted(others)}"


def test_a_digest_sees_code_and_nothing_else(tmp_path):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/fetch.py").write_text("a")
    first = sources.digest("fetch", package=tmp_path)
    (tmp_path / "stages/__pycache__").mkdir()
    (tmp_path / "stages/__pycache__/fetch.pyc").write_text("x")
    sources._digest.cache_clear()
    assert sources.digest("fetch", package=tmp_path) == first
    (tmp_path / "stages/fetch.py").write_text("b")
    sources._digest.cache_clear()
    assert sources.digest("fetch", package=tmp_path) != first
