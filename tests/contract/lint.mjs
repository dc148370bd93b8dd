// Lints openapi.yaml with Redocly's linter, as redocly.yaml says. Prints what it finds, warnings too, and exits 1 if that is anything.
//
// This is the library of Redocly's command line, which brings no more to a linter than 200 MB of other packages.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatProblems, getTotals, lint, loadConfig } from '@redocly/openapi-core';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

const config = await loadConfig({ configPath: path.join(REPOSITORY, 'redocly.yaml') });
const problems = await lint({ ref: path.join(REPOSITORY, 'openapi.yaml'), config });
formatProblems(problems, { format: 'codeframe', maxProblems: 100, totals: getTotals(problems), version: '', cwd: REPOSITORY, color: false });
console.log(`openapi.yaml: ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
