"""What pydantic finds wrong in a file of settings, said in the user's terms."""

import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from deepchrome.errors import listing, nearest

_BRANCHES = ("constrained-", "list[", "literal[", "function-", "nullable[", "[key]")


def describe(error: ValidationError, settings: type[BaseModel]) -> list[str]:
    """Return a line for each wrong key or value, with what is allowed. settings: the whole file."""
    return list(dict.fromkeys(_describe(problem, settings) for problem in _meant(error.errors())))


def shown(value: Any) -> str:
    """Return what was found, cut short."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _location(problem: Any) -> list[Any]:
    """Return where in the file a finding is, as the user would say it."""
    # pydantic names the branch of a union it tried ('constrained-str', 'list[...]'): not the user's
    return [part for part in problem["loc"] if not str(part).startswith(_BRANCHES)]


def _meant(problems: list[Any]) -> list[Any]:
    """Leave out what pydantic found in the branch of a union that the user did not mean.

    Text was meant as a word such as 'all', anything else as the other branch.
    """
    words = [_location(one) for one in problems if one["type"] == "literal_error"]
    others = [
        _location(one)[: len(word)]
        for word in words
        for one in problems
        if one["type"] != "literal_error"
    ]
    return [
        one
        for one in problems
        if not (
            (one["type"] == "list_type" and _location(one) in words)
            or (
                one["type"] == "literal_error"
                and not isinstance(one["input"], str)
                and _location(one) in others
            )
        )
    ]


def _describe(problem: Any, settings: type[BaseModel]) -> str:
    """Say one of pydantic's findings in the user's terms."""
    location = _location(problem)
    name = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        allowed = _keys_at(location[:-1], settings)
        return f"{name}: unknown key{nearest(str(location[-1]), allowed)} (allowed: " + (
            f"{listing(allowed, 30)})"
        )
    if problem["type"] == "missing":
        return f"{name}: missing; it has no default"
    found = f"found {shown(problem['input'])}, expected "
    if problem["type"] == "names":
        return f"{name}: {problem['msg']}"
    hint = _hint(problem)
    message = problem["msg"].removeprefix("Input should be ").removeprefix("List should have ")
    if problem["type"] == "literal_error":
        hint = nearest(str(problem["input"]), re.findall(r"'(\w+)'", problem["ctx"]["expected"]))
    return f"{name}: {found}{message}{hint}"


def _hint(problem: Any) -> str:
    """Say why YAML reads something else than what a person wrote, where it does."""
    value, kind = problem["input"], problem["type"]
    if isinstance(value, str) and kind.startswith(("int_", "float_", "bool_")):
        if kind == "float_type" and re.fullmatch(r"[-+]?\d[\d.]*[eE][-+]?\d{1,3}", value):
            mantissa, power = re.split("[eE]", value)
            mantissa += "" if "." in mantissa else ".0"
            power = power if power[0] in "+-" else f"+{power}"
            return f": YAML reads {value} as text; write {mantissa}e{power}"
        plain = (
            "true or false" if kind.startswith("bool_") else "a plain decimal such as 200 or 0.5"
        )
        return f": this is text; write {plain}, without quotes"
    if kind == "string_type" and not isinstance(value, dict | list | None):
        return ": YAML reads it as no text; put it in quotes"
    return ""


def _keys_at(location: list[Any], settings: type[BaseModel]) -> list[str]:
    """Return the keys allowed in the section at `location`."""
    section: Any = settings
    for part in location:
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            section = get_args(section)[1]  # of dict[str, a section]
            continue
        section = next(
            field.annotation
            for name, field in section.model_fields.items()
            if str(part) in (name, field.alias)
        )
    return [field.alias or name for name, field in section.model_fields.items()]
