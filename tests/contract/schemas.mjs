// Validators for the schemas of openapi.yaml, by Ajv, each compiled when it is first used.
//
// They are stricter than the document: a client has to ignore fields that it does not know, but a server of this version must not send any. So every object
// is closed, as a whole where it is composed: each schema is kept twice, closed for those who mean it, and open as a part of others.
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const SHOWN = 300;
const ANNOTATIONS = ['discriminator', 'example'];

// That the schemas are schemas is the linter's business: to look at them again would take each test process 100 ms.
const ajv = addFormats(new Ajv({ strictTypes: false, strictRequired: false, validateSchema: false }));
ajv.addVocabulary(ANNOTATIONS);

// Called with the document before anything else.
export function addSchemas(document) {
  const schemas = Object.entries(document.components.schemas);
  const kept = schemas.flatMap(([name, schema]) => [[name, close(schema)], [`${name}.part`, open(schema)]]);
  ajv.addSchema({ $id: 'openapi', $defs: Object.fromEntries(kept) });
}

export const named = (name) => ({ $ref: `#/components/schemas/${name}` });

function close(schema) {
  const closed = copy(schema, false);
  if (isObject(schema) && schema.additionalProperties === undefined) closed.unevaluatedProperties = false;
  return closed;
}

const open = (schema) => copy(schema, true);

const isObject = (schema) => schema.properties !== undefined || schema.allOf !== undefined;

// Alternatives within an object say more of the same object; elsewhere they are wholes.
function copy(schema, isPart) {
  if (typeof schema !== 'object' || schema === null) return schema;
  const alternative = isPart || isObject(schema) ? open : close;
  const copied = { ...schema };
  if (schema.$ref) copied.$ref = schema.$ref.replace('#/components/schemas/', 'openapi#/$defs/') + (isPart ? '.part' : '');
  if (schema.allOf) copied.allOf = schema.allOf.map(open);
  for (const key of ['oneOf', 'anyOf']) if (schema[key]) copied[key] = schema[key].map(alternative);
  for (const key of ['items', 'additionalProperties']) if (schema[key]) copied[key] = close(schema[key]);
  if (schema.properties) copied.properties = Object.fromEntries(Object.entries(schema.properties).map(([name, property]) => [name, close(property)]));
  return copied;
}

const validators = new Map();

function validatorOf(schema) {
  if (!validators.has(schema)) validators.set(schema, ajv.compile(close(schema)));
  return validators.get(schema);
}

// What is wrong with the value, or null.
export function wrongWith(schema, value) {
  const validate = validatorOf(schema);
  if (validate(value)) return null;
  const errors = validate.errors.map(({ instancePath, message, params }) => `${instancePath || 'the whole'} ${message} ${JSON.stringify(params)}`);
  return `${errors.join('; ')}: ${JSON.stringify(value)?.slice(0, SHOWN)}`;
}
