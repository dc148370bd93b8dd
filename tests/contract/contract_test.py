#!/usr/bin/python3
"""Tests of contract.py on made-up input."""
import io
import textwrap
import unittest

import yaml

import contract


def document(text):
    return yaml.safe_load(textwrap.dedent(text))


DOCUMENT = document('''
    security: [{bearer: []}, {cookie: []}]
    paths:
      /v1/ships:
        parameters: [{name: flag, in: query}]
        post:
          responses:
            '201': {}
            '200': {}
            '404': {$ref: '#/components/responses/Missing'}
            default: {}
        get: {security: [], responses: {'200': {}}}
      /v1/ships/{ship_id}:
        delete: {responses: {'204': {}}}
      /v1/radio:
        get: {security: [{bearer: []}, {cookie: []}, {ticket: []}], responses: {'200': {}}}
    components:
      responses:
        Missing:
          content:
            application/problem+json:
              examples: {sunk: {$ref: '#/components/examples/sunk'}}
      examples:
        ship: {value: {id: '1'}}
        sunk: {value: {code: sunk, status: 404, title: Sunk}}
        leak: {value: {code: leak, status: 500, title: Leak}}
      schemas:
        Problem:
          properties:
            code:
              description: |
                | status | code | meaning |
                |---|---|---|
                | 404 | `sunk` | It is gone. |
                | 500 | `leak` | It will be. |
              enum: [sunk, leak]
''')

ROUTES = '''\
POST /v1/ships user 201
GET /v1/ships none 200
DELETE /v1/ships/{ship_id} user 204
GET /v1/radio stream 200
'''

PROBLEMS = '''
// [ERR_OLD] = {410, "old", "Old"},
static const struct problem problems[ERR_COUNT] = {
    [ERR_SUNK] = {404, "sunk", "Sunk"}, /* [ERR_NO] = {400, "no", "No"}, */
    [ERR_LEAK] = { 500, "leak",
                   "Leak" },
    [ERR_HOLE] = {500, "leak", "Leak"},
};
'''


def failures(checks):
    return {check.name: check.failure for check in checks if check.failure}


def route_failures(routes, openapi=DOCUMENT):
    return failures(contract.check_routes(contract.routes_of_table(routes), contract.routes_of_document(openapi)))


def problem_failures(source, openapi=DOCUMENT):
    return failures(contract.check_problems(contract.problems_of_source(source), openapi))


def changed(path, value):
    """DOCUMENT with another value at `path`; None removes it."""
    copy = yaml.safe_load(yaml.safe_dump(DOCUMENT))
    *parents, last = path
    node = copy
    for key in parents:
        node = node[key]
    node[last] = value
    if value is None:
        del node[last]
    return copy


class Routes(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(route_failures(ROUTES), {})

    def test_every_route_is_one_check(self):
        checks = contract.check_routes(contract.routes_of_table(ROUTES), contract.routes_of_document(DOCUMENT))
        self.assertEqual(len(checks), 4)

    def test_undocumented_route(self):
        self.assertEqual(route_failures(ROUTES + 'GET /v1/ports user 200\n'), {'GET /v1/ports': 'is not documented'})

    def test_documented_without_route(self):
        routes = ROUTES.replace('GET /v1/radio stream 200\n', '')
        self.assertEqual(route_failures(routes), {'GET /v1/radio': 'is documented, but no route'})

    def test_other_parameter_name(self):
        self.assertEqual(set(route_failures(ROUTES.replace('{ship_id}', '{id}'))), {'DELETE /v1/ships/{id}', 'DELETE /v1/ships/{ship_id}'})

    def test_other_security(self):
        routes = ROUTES.replace('GET /v1/ships none', 'GET /v1/ships user').replace('radio stream', 'radio user')
        self.assertEqual(route_failures(routes), {
            'GET /v1/ships': 'security is bearer or cookie, documented is none',
            'GET /v1/radio': 'security is bearer or cookie, documented is bearer or cookie or ticket',
        })

    def test_schemes_needed_together_or_optional_are_no_alternatives(self):
        both = changed(['paths', '/v1/ships/{ship_id}', 'delete', 'security'], [{'bearer': [], 'cookie': []}])
        self.assertIn('bearer+cookie', route_failures(ROUTES, both)['DELETE /v1/ships/{ship_id}'])
        optional = changed(['paths', '/v1/ships', 'get', 'security'], [{}])
        self.assertIn('optional', route_failures(ROUTES, optional)['GET /v1/ships'])

    def test_other_status(self):
        routes = ROUTES.replace('user 204', 'user 200')
        self.assertEqual(route_failures(routes), {'DELETE /v1/ships/{ship_id}': 'success is 200, documented is 204'})

    def test_200_beside_201_is_free_but_not_the_reverse(self):
        only_201 = changed(['paths', '/v1/ships', 'post', 'responses', '200'], None)
        self.assertEqual(route_failures(ROUTES, only_201), {})
        only_200 = changed(['paths', '/v1/ships', 'post', 'responses', '201'], None)
        self.assertEqual(route_failures(ROUTES, only_200), {'POST /v1/ships': 'success is 201, documented is 200'})

    def test_202_beside_200_and_201_is_free_but_not_alone(self):
        agreed = changed(['paths', '/v1/ships', 'post', 'responses', '202'], {})
        self.assertEqual(route_failures(ROUTES, agreed), {})
        alone = changed(['paths', '/v1/ships', 'post', 'responses'], {'202': {}})
        self.assertEqual(route_failures(ROUTES, alone), {'POST /v1/ships': 'success is 201, documented is 202'})

    def test_206_and_304_beside_200_are_free_but_not_the_reverse(self):
        partly = changed(['paths', '/v1/radio', 'get', 'responses'], {'200': {}, '206': {}, '304': {}})
        self.assertEqual(route_failures(ROUTES, partly), {})
        only_206 = changed(['paths', '/v1/radio', 'get', 'responses'], {'206': {}})
        self.assertEqual(route_failures(ROUTES, only_206), {'GET /v1/radio': 'success is 200, documented is 206'})

    def test_status_list_is_exact(self):
        routes = ROUTES.replace('user 201', 'user 201,200')
        self.assertEqual(route_failures(routes), {})
        only_201 = changed(['paths', '/v1/ships', 'post', 'responses', '200'], None)
        self.assertEqual(route_failures(routes, only_201), {'POST /v1/ships': 'success is 200 or 201, documented is 201'})

    def test_malformed_table(self):
        for line in ('GET /v1/x', 'GET /v1/x admin 200', 'get /v1/x user 200', 'GET v1/x user 200', 'GET /v1/x user OK', ''):
            with self.subTest(line), self.assertRaises(contract.Malformed):
                contract.routes_of_table(ROUTES + line + '\n')

    def test_route_twice(self):
        with self.assertRaises(contract.Malformed):
            contract.routes_of_table(ROUTES + ROUTES)


class Problems(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(problem_failures(PROBLEMS), {})

    def test_comments_are_no_rows(self):
        self.assertEqual(set(contract.problems_of_source(PROBLEMS)), {'sunk', 'leak'})

    def test_slashes_in_strings_are_no_comments(self):
        source = '[ERR_X] = {400, "x", "a // b /* c"}, [ERR_Y] = {400, "y", "Y"}'
        self.assertEqual(set(contract.problems_of_source(source)), {'x', 'y'})

    def test_undocumented_code(self):
        source = PROBLEMS + '[ERR_FIRE] = {503, "fire", "Fire"},'
        self.assertEqual(problem_failures(source), {'problem fire': 'is not in the enum of the schema Problem'})

    def test_documented_without_code(self):
        source = PROBLEMS.replace('[ERR_SUNK] = {404, "sunk", "Sunk"},', '')
        self.assertEqual(problem_failures(source), {'problem sunk': 'is documented, but the server has no such code'})

    def test_other_status(self):
        source = PROBLEMS.replace('404', '410')
        self.assertEqual(problem_failures(source), {'problem sunk': 'status is 410, the description of the codes says 404'})

    def test_other_title(self):
        source = PROBLEMS.replace('"Sunk"', '"Gone"')
        self.assertEqual(problem_failures(source), {'problem sunk': 'is 404 "Gone", an example says 404 "Sunk"'})

    def test_code_without_example(self):
        self.assertEqual(problem_failures(PROBLEMS, changed(['components', 'examples', 'leak'], None)), {'problem leak': 'has no example'})

    def test_row_that_is_not_understood(self):
        for row in ('[ERR_FIRE] = {HTTP_FIRE, "fire", "Fire"}', '[ERR_FIRE] = {503, "fire"}'):
            with self.subTest(row), self.assertRaises(contract.Malformed):
                contract.problems_of_source(PROBLEMS + row)

    def test_no_rows(self):
        with self.assertRaises(contract.Malformed):
            contract.problems_of_source('int main(void) { return 0; }')

    def test_two_meanings_of_one_code(self):
        with self.assertRaises(contract.Malformed):
            contract.problems_of_source(PROBLEMS + '[ERR_FIRE] = {503, "leak", "Leak"}')


class Examples(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(failures(contract.check_statuses_of_examples(DOCUMENT)), {})

    def test_problem_at_another_status(self):
        moved = changed(['paths', '/v1/ships', 'get', 'responses', '409'], {'$ref': '#/components/responses/Missing'})
        self.assertEqual(failures(contract.check_statuses_of_examples(moved)), {'GET /v1/ships 409': 'shows sunk, whose status is 404'})


class Report(unittest.TestCase):
    def test_counts_and_failures(self):
        out = io.StringIO()
        checks = [contract.Check('GET /a'), contract.Check('GET /b', 'is not documented')]
        self.assertFalse(contract.report(checks, out))
        self.assertEqual(out.getvalue(), 'FAIL GET /b is not documented\n1 passed, 1 failed\n')

    def test_all_passed(self):
        self.assertTrue(contract.report([contract.Check('GET /a')], io.StringIO()))


if __name__ == '__main__':
    unittest.main()
