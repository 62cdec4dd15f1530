"""What a library says of a failure, as a part of a sentence of ours."""

import re

_LONGEST = 160
_WITHOUT = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),  # colours of a terminal
    (re.compile(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : "), ""),
    (
        re.compile(r"Non-zero status code returned while running (\w+) node\. Name:'[^']*' Status Message: "),
        r"in \1, ",
    ),
    (re.compile(r"In Node, \(\"[^\"]*\", (\w+).* -> .*?\) , (?:Error )?"), r"in \1, "),
    (re.compile(r"\b(?:[\w*&<>]+ )?(?:\w+::)+\w+\([^)]*\)(?: const)?\s?"), ""),  # functions of C++
    (re.compile(r"Load model from .*? failed: ?"), ""),
    (
        re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.+-]+){2,}(?::\d+)?"),
        "…",
    ),  # paths, most of them of the library's makers
    (re.compile(r"\b(?:\w+\.)*\w*(?:Error|Exception)\b[:(]?\s?"), ""),
    (re.compile(r"\s+"), " "),
)


def first_cause(error: BaseException) -> BaseException:
    """The failure that others were raised from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def reason_of(error: BaseException) -> str:
    """The first line that says something, without codes, paths and names of classes, and without the dot at its end."""
    for line in str(error).splitlines():
        for pattern, other in _WITHOUT:
            line = pattern.sub(other, line)
        line = line.strip(" .:…")
        if len(line) > 3:
            return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
    return "it gives no reason"
