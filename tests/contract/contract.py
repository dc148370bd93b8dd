#!/usr/bin/python3
"""Checks openapi.yaml against the server, both ways.

- Routes: method, path, authentication and success status, against the lines of `parley routes`.
- Problem codes: code, status and title, against the table in api/problem.c.

A route that prints only 201 may be documented with 200 as well: what it was asked to create was there already; and with both 200 and 202: somebody
has to agree first. One that prints only 200
may be documented with 304 as well: what the client has already; and then with 206: a part of what it has. A route that prints several, as
`201,200`, must be documented with all of them.

Run from the project's folder. Prints what differs, then `N passed, N failed`; exits 1 if anything failed.
"""
import argparse
import re
import subprocess
import sys
from dataclasses import dataclass

import yaml

METHODS = ('get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace')

# The authentication of the route table, as the security schemes that may be used instead of each other.
SCHEMES = {
    'none': frozenset(),
    'user': frozenset({'bearer', 'cookie'}),
    'stream': frozenset({'bearer', 'cookie', 'ticket'}),
}


# What may be documented instead of a single success.
VARIANTS = {
    frozenset({201}): (frozenset({200, 201}), frozenset({200, 201, 202})),
    frozenset({200}): (frozenset({200, 304}), frozenset({200, 206, 304})),
}


@dataclass(frozen=True)
class Route:
    schemes: frozenset
    statuses: frozenset


@dataclass(frozen=True)
class Problem:
    status: int
    title: str


@dataclass(frozen=True)
class Check:
    name: str
    failure: str = ''  # what is wrong; empty when nothing is


class Malformed(Exception):
    """The input is not what it should be, so nothing can be compared."""


# ---- Routes ----------------------------------------------------------------------------------------------------------------

def routes_of_table(text):
    """{'GET /path': Route} from lines `METHOD PATH AUTH SUCCESS_STATUS`."""
    routes = {}
    for line in text.splitlines():
        match = re.fullmatch(r'([A-Z]+) (/\S*) (\w+) (\d{3}(?:,\d{3})*)', line)
        if not match or match[3] not in SCHEMES:
            raise Malformed(f'route table: not METHOD PATH AUTH STATUS: {line!r}')
        name = f'{match[1]} {match[2]}'
        if name in routes:
            raise Malformed(f'route table: {name} twice')
        routes[name] = Route(SCHEMES[match[3]], frozenset(map(int, match[4].split(','))))
    return routes


def routes_of_document(document):
    """{'GET /path': Route} from an OpenAPI document."""
    routes = {}
    for path, item in document['paths'].items():
        for method in METHODS:
            if method in item:
                routes[f'{method.upper()} {path}'] = route_of_operation(item[method], document)
    return routes


def route_of_operation(operation, document):
    security = operation.get('security', document.get('security', []))
    statuses = (int(status) for status in operation['responses'] if re.fullmatch(r'[23]\d\d', str(status)))
    return Route(frozenset(map(scheme_of_requirement, security)), frozenset(statuses))


def scheme_of_requirement(requirement):
    """One scheme each: together they are alternatives. Joined ones, and `{}` for optional, never match the route table."""
    return '+'.join(sorted(requirement)) or 'optional'


def check_routes(table, document):
    return [Check(name, compare_routes(table.get(name), document.get(name))) for name in sorted({*table, *document})]


def compare_routes(route, documented):
    if documented is None:
        return 'is not documented'
    if route is None:
        return 'is documented, but no route'
    if route.schemes != documented.schemes:
        return f'security is {show(route.schemes)}, documented is {show(documented.schemes)}'
    if documented.statuses not in (route.statuses, *VARIANTS.get(route.statuses, ())):
        return f'success is {show(route.statuses)}, documented is {show(documented.statuses)}'
    return ''


def show(values):
    return ' or '.join(map(str, sorted(values))) or 'none'


# ---- Problem codes ---------------------------------------------------------------------------------------------------------

def problems_of_source(text):
    """{code: Problem} from the rows `[ERR_X] = {STATUS, "code", "Title"}` of a C table. Several errors may share a code."""
    text = without_comments(text)
    rows = re.findall(r'\[ERR_\w+\]\s*=\s*\{\s*(\d{3})\s*,\s*"([^"\\]*)"\s*,\s*"([^"\\]*)"\s*,?\s*\}', text)
    designators = len(re.findall(r'(?<![\w\]])\[ERR_\w+\]\s*=', text))
    if not rows or len(rows) != designators:
        raise Malformed(f'problem table: {len(rows)} of {designators} rows understood')
    problems = {}
    for status, code, title in rows:
        problem = Problem(int(status), title)
        if problems.setdefault(code, problem) != problem:
            raise Malformed(f'problem table: {code} has two meanings')
    return problems


def without_comments(text):
    """C source with comments blanked; `//` and `/*` inside string literals are left alone."""
    return re.sub(r'("(?:[^"\\\n]|\\.)*")|/\*.*?\*/|//[^\n]*', lambda match: match[1] or ' ', text, flags=re.DOTALL)


def check_problems(table, document):
    code = document['components']['schemas']['Problem']['properties']['code']
    listed = statuses_in_description(code['description'])
    examples = problem_examples(document)
    return [Check(f'problem {name}', compare_problem(name, table.get(name), code['enum'], listed, examples))
            for name in sorted({*table, *code['enum'], *listed, *examples})]


def statuses_in_description(description):
    """{code: status} from rows "| 404 | `not_found` | …" of the Markdown table that explains the codes."""
    return {code: int(status) for status, code in re.findall(r'^\| (\d{3}) \| `(\w+)` \|', description, flags=re.MULTILINE)}


def problem_examples(document):
    """{code: [Problem, ...]} of the shared examples."""
    found = {}
    for example in document['components'].get('examples', {}).values():
        value = example['value']
        if isinstance(value, dict) and 'code' in value:
            found.setdefault(value['code'], []).append(Problem(value['status'], value['title']))
    return found


def compare_problem(code, problem, enum, listed, examples):
    if problem is None:
        return 'is documented, but the server has no such code'
    if code not in enum:
        return 'is not in the enum of the schema Problem'
    if listed.get(code) != problem.status:
        return f'status is {problem.status}, the description of the codes says {listed.get(code)}'
    if code not in examples:
        return 'has no example'
    wrong = [example for example in examples[code] if example != problem]
    if wrong:
        return f'is {problem.status} "{problem.title}", an example says {wrong[0].status} "{wrong[0].title}"'
    return ''


def check_statuses_of_examples(document):
    """A problem shown at a response has that response's status; `default` may show any."""
    return [Check(f'{name} {status}', compare_examples(status, response, document))
            for name, responses in responses_of_document(document).items()
            for status, response in responses.items() if str(status) != 'default']


def responses_of_document(document):
    return {f'{method.upper()} {path}': item[method]['responses']
            for path, item in document['paths'].items() for method in METHODS if method in item}


def compare_examples(status, response, document):
    content = resolve(response, document).get('content', {}).get('application/problem+json', {})
    for name, example in content.get('examples', {}).items():
        shown = resolve(example, document)['value']['status']
        if shown != int(status):
            return f'shows {name}, whose status is {shown}'
    return ''


def resolve(node, document):
    """The node itself, or what its local `$ref` points to."""
    if '$ref' not in node:
        return node
    target = document
    for key in node['$ref'].removeprefix('#/').split('/'):
        target = target[key.replace('~1', '/').replace('~0', '~')]
    return target


# ---- Running ---------------------------------------------------------------------------------------------------------------

def report(checks, out):
    """Prints the failures and the counts; true when nothing failed."""
    failed = [check for check in checks if check.failure]
    for check in failed:
        print(f'FAIL {check.name} {check.failure}', file=out)
    print(f'{len(checks) - len(failed)} passed, {len(failed)} failed', file=out)
    return not failed


def run(openapi, problems, parley):
    with open(openapi, encoding='utf-8') as file:
        document = yaml.safe_load(file)
    with open(problems, encoding='utf-8') as file:
        table = problems_of_source(file.read())
    routes = subprocess.run([parley, 'routes'], check=True, capture_output=True, text=True).stdout
    return [
        *check_routes(routes_of_table(routes), routes_of_document(document)),
        *check_problems(table, document),
        *check_statuses_of_examples(document),
    ]


def main():
    parser = argparse.ArgumentParser(description='Checks openapi.yaml against the route table and the problem codes.')
    parser.add_argument('--openapi', default='openapi.yaml')
    parser.add_argument('--problems', default='api/problem.c')
    parser.add_argument('--parley', default='build/parley')
    options = parser.parse_args()
    try:
        checks = run(options.openapi, options.problems, options.parley)
    except (Malformed, OSError, subprocess.CalledProcessError, yaml.YAMLError) as error:
        checks = [Check('contract', str(error))]
    return 0 if report(checks, sys.stdout) else 1


if __name__ == '__main__':
    sys.exit(main())
