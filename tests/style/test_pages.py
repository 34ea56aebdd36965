"""Pages tell the truth: links lead somewhere, names exist, generated pages are current."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import tree

FOLDERS = "proto|kernels|host|rpc|clients|tests|perf|docs|docker|scripts|cmake"
NAMED = re.compile(rf"`((?:{FOLDERS})/[\w./*+-]*)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def exists(name: str) -> bool:
    """A file, a folder, a pattern that matches some, or a file named without its suffix."""
    name = name.rstrip("/")
    if (tree.ROOT / name).exists() or any(f.startswith(name + ".") for f in tree.files()):
        return True
    return "*" in name and any(fnmatch.fnmatch(f, name) for f in tree.files())


def test_links_lead_somewhere() -> None:
    findings = []
    for path in tree.having(".md"):
        for match in LINK.finditer(tree.text(path)):
            target = match.group(1).split("#")[0]
            if target and not re.match(r"[a-z]+:", target) and not (tree.ROOT / Path(path).parent / target).exists():
                findings.append(f"{path}:{tree.line_of(tree.text(path), match.start())}: ({target}) leads nowhere")
    tree.report(findings)


def test_named_files_exist() -> None:
    tree.report(
        [
            f"{path}:{tree.line_of(tree.text(path), m.start())}: `{m.group(1)}` does not exist"
            for path in tree.having(".md")
            for m in NAMED.finditer(tree.text(path))
            if not exists(m.group(1))
        ]
    )


def test_every_library_folder_has_its_page() -> None:
    folders = {str(Path(f).parent) for f in tree.having(".c", ".cu", under=tree.LIBRARIES)}
    tops = {"/".join(f.split("/")[:2]) for f in folders}
    tree.report(
        [
            f"{f}/README.md is missing"
            for f in sorted(tops)
            if not exists(f"{f}/README.md") and f"{f.split('/')[0]}/README.md" not in tree.files()
        ]
    )


def test_steps_that_pages_name_exist() -> None:
    listed = subprocess.run([tree.ROOT / "test", "--list"], capture_output=True, text=True, check=True).stdout
    steps = {line.split()[0] for line in listed.splitlines()}
    tree.report(
        [
            f"{path}: ./test {step} is no step"
            for path in tree.having(".md")
            for words in re.findall(r"\./test ((?:[a-z_]+ ?)+)(?=[`\n#])", tree.text(path))
            for step in words.split()
            if step not in steps
        ]
    )


def test_generated_pages_are_current() -> None:
    said = subprocess.run([sys.executable, tree.ROOT / "scripts" / "gen_docs.py", "--check"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


# Words of the places where the project is worked on; put together here so that this file holds none of them.
ELSEWHERE = re.compile(
    "|".join(["/wo" + "rk/", "/fa" + "rm/", r"\bfa" + "rm-", "this ses" + "sion", r"lent (GPU|machine|device)"]), re.IGNORECASE
)


def test_nothing_speaks_of_where_it_was_made() -> None:
    findings = []
    for path in tree.files():
        try:
            words = tree.text(path)
        except UnicodeDecodeError:
            continue
        findings += [f"{path}:{tree.line_of(words, m.start())}: {m.group(0)}" for m in ELSEWHERE.finditer(words)]
    tree.report(findings)


def test_lines_end_well() -> None:
    """No tab indents and no blanks at the end of a line in what we write; a file ends with one newline."""
    findings = []
    for path in tree.having(".c", ".h", ".py", ".md", ".sh", ".proto", ".def", ".cmake", "CMakeLists.txt", "run", "test"):
        words = tree.text(path)
        findings += [f"{path}:{n}: blanks at the end" for n, line in enumerate(words.split("\n"), 1) if line != line.rstrip()]
        if words and (not words.endswith("\n") or words.endswith("\n\n")):
            findings.append(f"{path}: must end with one newline")
    tree.report(findings)


def test_reasons_that_pages_name_exist() -> None:
    rows = set(re.findall(r"^STATUS\((\w+),", tree.text("proto/status.def"), re.MULTILINE))
    tree.report(
        [
            f"docs/api.md: {word} is no row of proto/status.def"
            for line in tree.text("docs/api.md").splitlines()
            if re.match(r"\| [A-Z][\w, ]+ \|", line)
            for word in re.findall(r"`([A-Z][A-Z_]+)`", line)
            if word not in rows
        ]
    )
