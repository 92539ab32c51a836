"""Finds a viewer's retrieve configuration in its JavaScript or TypeScript. Imports tree-sitter.

The text is an object as somebody copies it, its inside, or a file that declares one, exports one, or hands
one to the viewer. It is parsed, never run. A refusal has its line, and says what to write.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from proxy.errors import NotUnderstood
from proxy.plan.literals import Values, bare, line_of

KEYS = ("stages", "retrieveOptions")
"""Keys by which a configuration is recognized."""

_SIGNS = re.compile(
    r"//|/\*|=>|\b(?:const|let|var|export|import)\b|\.\.\.[\w.]|\w *(?:; *$|\* )", re.MULTILINE
)


def looks_like_javascript(text: str) -> bool:
    """True if a text has signs of JavaScript that YAML has not."""
    return _SIGNS.search(text) is not None


def read_javascript(text: str, stages: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration that a text declares. `stages` are a viewer's stock ones, by name.

    >>> read_javascript("{retrieveOptions: {single: {chunkSize: 2 * 1024}}}", {})
    {'retrieveOptions': {'single': {'chunkSize': 2048}}}

    Raises `NotUnderstood`.
    """
    try:
        root, told = _parsed(text)
        return _configuration(root, Values(told, stages))
    except RecursionError:
        raise NotUnderstood(1, "the text is nested too deeply") from None


@cache
def _language() -> Language:
    return Language(tree_sitter_typescript.language_typescript())


def _parsed(text: str) -> tuple[Node, bytes]:
    """Parses a text as an expression, as the inside of an object, or as a program."""
    told = text.rstrip().rstrip(";")
    for form in (f"({told}\n)", f"({{{told}\n}})", text):
        root = Parser(_language()).parse(form.encode()).root_node
        if not root.has_error and not _is_typed(root):
            return root, form.encode()
    fault = next(node for node in _nodes(root) if node.is_error or node.is_missing)
    raise NotUnderstood(line_of(fault), "can't be read as JavaScript: a bracket or a comma may be missing")


def _is_typed(root: Node) -> bool:
    """True if the inside of an object was read as a name and its type: `(stages: [])`."""
    inner = [each for statement in root.named_children for each in statement.named_children]
    return any(below.type == "type_annotation" for each in inner for below in each.named_children)


def _configuration(root: Node, values: Values) -> dict[str, Any]:
    """Returns the one configuration of a text, on which no other one of the text builds."""
    found: dict[str, Node] = {}
    for statement in root.named_children:
        for name, value in _declared(statement):
            values.declared[values.text(name)] = value
            if _is_configuration(value, values):
                found[values.text(name)] = value
    used = {
        values.text(each) for value in found.values() for each in _nodes(value) if each.type == "identifier"
    }
    last = [name for name in found if name not in used]
    if len(last) == 1:
        return values.object_of(found[last[0]])
    if last:
        raise NotUnderstood(1, f"there are several configurations, {', '.join(last)}: keep one of them")
    raise NotUnderstood(1, f"there is no object with {' or '.join(KEYS)}")


def _is_configuration(node: Node, values: Values) -> bool:
    node = bare(node)
    if node.type == "object":
        keys = {values.key(each) for each in node.named_children if each.type == "pair"}
        spreads = any(each.type == "spread_element" for each in node.named_children)
        return bool(keys & set(KEYS)) or (spreads and not keys)
    return values.text(node).rpartition(".")[2] in values.stages


def _declared(statement: Node) -> Iterator[tuple[Node, Node]]:
    """Yields name and value of what a statement declares, exports, hands over, or is."""
    inner = statement.child_by_field_name("declaration") or statement
    default = statement.child_by_field_name("value")
    if statement.type == "export_statement" and default is not None:
        yield default, default
    if inner.type in ("lexical_declaration", "variable_declaration"):
        for each in inner.named_children:
            name, value = each.child_by_field_name("name"), each.child_by_field_name("value")
            if name is not None and value is not None:
                yield name, value
    if statement.type == "expression_statement":
        expression = bare(statement.named_children[0])
        handed = expression.child_by_field_name("arguments")
        if expression.type == "call_expression" and handed is not None and handed.named_children:
            yield handed, handed.named_children[-1]
        else:
            yield expression, expression


def _nodes(root: Node) -> Iterator[Node]:
    """Yields a node and all below it, without recursion."""
    left = [root]
    while left:
        node = left.pop()
        yield node
        left.extend(reversed(node.children))
