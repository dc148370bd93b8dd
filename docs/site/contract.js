// The document as the page needs it: references followed, operations in order.

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

export class Contract {
  constructor(document) {
    this.document = document;
    this.schemas = document.components.schemas;
  }

  // The thing itself, with the name under which it was referred to.
  resolve(thing) {
    let name = null;
    let found = thing ?? {};
    while (found.$ref) {
      const keys = found.$ref.replace(/^#\//, '').split('/').map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
      name = keys.at(-1);
      found = keys.reduce((place, key) => place?.[key], this.document);
      if (found === undefined) throw new Error(`nothing is at ${thing.$ref}`);
    }
    return { name, value: found };
  }

  value(thing) {
    return this.resolve(thing).value;
  }

  // {id, method, path, tag, operation, parameters, security}
  get operations() {
    return Object.entries(this.document.paths).flatMap(([path, item]) => METHODS.filter((method) => item[method]).map((method) => {
      const operation = item[method];
      const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((parameter) => this.value(parameter));
      const security = operation.security ?? this.document.security ?? [];
      return { id: operation.operationId, method: method.toUpperCase(), path, tag: operation.tags?.[0] ?? 'Other', operation, parameters, security };
    }));
  }

  // [{name, value}] of a media type or a parameter.
  examples(thing) {
    const named = Object.entries(thing.examples ?? {}).map(([name, example]) => ({ name, value: this.value(example).value }));
    return thing.example === undefined ? named : [{ name: 'example', value: thing.example }, ...named];
  }

  // What somebody could send or get: the first example, else one made from the schema.
  sample(media) {
    const [first] = this.examples(media);
    return first ? first.value : this.sampleOf(media.schema);
  }

  sampleOf(schema, depth = 0) {
    const one = this.merged(schema);
    const given = one.example ?? (Array.isArray(one.examples) ? one.examples[0] : undefined) ?? one.const ?? one.default ?? one.enum?.[0];
    if (given !== undefined || depth > 5) return given;
    if (one.oneOf ?? one.anyOf) return this.sampleOf((one.oneOf ?? one.anyOf)[0], depth + 1);
    if (one.properties) {
      const wanted = Object.entries(one.properties).filter(([name]) => one.required?.includes(name));
      return Object.fromEntries(wanted.map(([name, property]) => [name, this.sampleOf(property, depth + 1)]));
    }
    const type = [one.type].flat()[0];
    return { array: [], object: {}, integer: one.minimum ?? 1, number: one.minimum ?? 1, boolean: true, null: null }[type] ?? 'text';
  }

  // A schema with what its allOf add.
  merged(schema) {
    const one = this.value(schema);
    if (!one.allOf) return one;
    return one.allOf.map((part) => this.merged(part)).reduce((whole, part) => ({
      ...whole,
      ...part,
      properties: { ...whole.properties, ...part.properties },
      required: [...(whole.required ?? []), ...(part.required ?? [])],
      description: whole.description ?? part.description,
    }), { ...one, allOf: undefined });
  }
}
