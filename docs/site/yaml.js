// Reads the part of YAML 1.2 in which openapi.yaml is written: block and flow collections, plain and quoted scalars, literal and folded blocks, comments. No
// anchors, tags, directives or documents. What it does not know is an error with its line, never a guess.

const PLAIN_KEY = /[^\s'"{}[\],&*!|>%@`#][^\n]*?(?=\s*:(?:[ \n]|$))/y;
const QUOTED_KEY = /('(?:[^'\n]|'')*'|"(?:[^"\\\n]|\\.)*")(?=\s*:(?:[ \n]|$))/y;
const NUMBER = /^[-+]?(?:\d+|\d*\.\d+(?:e[-+]?\d+)?)$/i;
const ESCAPES = { n: '\n', t: '\t', r: '\r', 0: '\0', '"': '"', '\\': '\\', '/': '/', ' ': ' ', b: '\b', f: '\f' };
const WORDS = { null: null, Null: null, '~': null, '': null, true: true, false: false };

export function parseYaml(text) {
  return new Parser(text).document();
}

function valueOf(plain) {
  if (Object.hasOwn(WORDS, plain)) return WORDS[plain];
  return NUMBER.test(plain) ? Number(plain) : plain;
}

class Parser {
  constructor(text) {
    this.text = text.replace(/\r\n/g, '\n');
    this.at = 0;
  }

  document() {
    const indent = this.nextLine();
    const value = indent < 0 ? null : this.node(indent);
    if (this.nextLine() >= 0) this.fail('expected the end');
    return value;
  }

  fail(what) {
    throw new Error(`line ${this.text.slice(0, this.at).split('\n').length}: ${what}`);
  }

  // Moves to the first character of the next line that has content, and returns its column; -1: there is none.
  nextLine() {
    const blank = /[ ]*(?:#[^\n]*)?(?:\n|$)/y;
    while (this.at < this.text.length) {
      const start = this.at;
      blank.lastIndex = start;
      const found = blank.exec(this.text);
      if (!found) {
        while (this.text[this.at] === ' ') this.at += 1;
        return this.at - start;
      }
      this.at = start + found[0].length;
      if (found[0].length === 0) break;
    }
    return -1;
  }

  // The column of the next line with content, without moving.
  peekLine() {
    const { at } = this;
    const indent = this.nextLine();
    const isItem = indent >= 0 && /^-(?:[ \n]|$)/.test(this.text.slice(this.at, this.at + 2));
    this.at = at;
    return { indent, isItem };
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at += found[0].length;
    return found;
  }

  // What remains of a line must be empty.
  endLine() {
    if (!this.match(/[ ]*(?:[ ]#[^\n]*)?(?:\n|$)/y)) this.fail('expected the end of the line');
  }

  // A value whose first character is here, in this column of a line of its own (or behind the dash of an item).
  node(indent) {
    if (this.match(/-(?=[ \n]|$)/y)) return this.sequence(indent);
    const { at } = this;
    const key = this.match(QUOTED_KEY) ?? this.match(PLAIN_KEY);
    this.at = at;
    return key ? this.mapping(indent) : this.inline(indent - 1);
  }

  sequence(indent) {
    const items = [];
    do {
      const spaces = this.match(/[ ]*/y)[0].length;
      if (this.match(/(?:#[^\n]*)?(?:\n|$)/y)) items.push(this.nested(indent));
      else items.push(/^[|>]/.test(this.text[this.at]) ? this.inline(indent) : this.node(indent + 1 + spaces));
    } while (this.continues(indent) && (this.match(/-(?=[ \n]|$)/y) || this.fail('expected another item')));
    return items;
  }

  mapping(indent) {
    const object = {};
    do {
      const key = this.key();
      if (Object.hasOwn(object, key)) this.fail(`${key} twice`);
      this.match(/\s*:[ ]*/y);
      object[key] = this.match(/(?:#[^\n]*)?(?:\n|$)/y) ? this.nested(indent, true) : this.inline(indent);
    } while (this.continues(indent));
    return object;
  }

  key() {
    const quoted = this.match(QUOTED_KEY);
    if (quoted) return unquote(quoted[0]);
    const plain = this.match(PLAIN_KEY);
    if (!plain) this.fail('expected a key');
    return plain[0];
  }

  // Whether the collection of this column has another entry; then moves to it.
  continues(indent) {
    const next = this.peekLine();
    if (next.indent > indent) this.fail('indented too far');
    if (next.indent < indent) return false;
    this.nextLine();
    return true;
  }

  // What stands on the lines below an entry, further to the right; the items of a sequence may stand below their key.
  nested(indent, isMapping = false) {
    const next = this.peekLine();
    if (next.indent <= indent && !(isMapping && next.indent === indent && next.isItem)) return null;
    return this.node(this.nextLine());
  }

  // A value that begins on the line of its key.
  inline(indent) {
    const first = this.text[this.at];
    if (first === '|' || first === '>') return this.block(indent);
    return first === '{' || first === '[' ? this.flow() : this.scalar(indent);
  }

  scalar(indent) {
    const quoted = this.match(/'(?:[^']|'')*'|"(?:[^"\\]|\\[^])*"/y);
    if (quoted) {
      this.endLine();
      return unquote(quoted[0]);
    }
    if (/[&*!%@`]/.test(this.text[this.at])) this.fail('anchors, aliases and tags are not read');
    const words = [this.plainLine()];
    for (let next = this.peekLine(); next.indent > indent; next = this.peekLine()) {
      this.nextLine();
      words.push(this.plainLine());
    }
    return words.length === 1 ? valueOf(words[0]) : words.join(' ');
  }

  plainLine() {
    const found = this.match(/[^\n]*?(?=[ ]*(?:[ ]#[^\n]*)?(?:\n|$))/y);
    this.endLine();
    if (/:(?:[ ]|$)/.test(found[0])) this.fail('text with a colon must be quoted');
    return found[0];
  }

  // A literal or folded block; its lines are further to the right than `indent`.
  block(indent) {
    const [, style, chomp] = this.match(/([|>])([-+]?)/y);
    this.endLine();
    const lines = [];
    let column = -1;
    while (this.at < this.text.length) {
      const end = this.text.indexOf('\n', this.at);
      const line = this.text.slice(this.at, end < 0 ? undefined : end);
      const width = line.search(/[^ ]/);
      if (width >= 0 && column < 0) column = width;
      if (width >= 0 && (width <= indent || width < column)) break;
      lines.push(width < 0 ? '' : line.slice(column));
      this.at = end < 0 ? this.text.length : end + 1;
    }
    const body = style === '|' ? lines.join('\n') : fold(lines);
    const trimmed = body.replace(/\n+$/, '');
    if (chomp === '+') return `${body}\n`;
    return chomp === '-' || trimmed === '' ? trimmed : `${trimmed}\n`;
  }

  flow() {
    const value = this.flowValue();
    this.endLine();
    return value;
  }

  flowValue() {
    this.blank();
    if (this.match(/\{/y)) return this.flowMapping();
    if (this.match(/\[/y)) return this.flowSequence();
    return this.flowScalar(/[^&*!|>%@`#,[\]{}\n][^,[\]{}\n]*?(?=[ ]*(?:[,\]}\n]|:[ ]))|(?=[,\]}])/y);
  }

  flowScalar(pattern) {
    const quoted = this.match(/'(?:[^']|'')*'|"(?:[^"\\]|\\[^])*"/y);
    if (quoted) return unquote(quoted[0]);
    const plain = this.match(pattern);
    if (!plain) this.fail('expected a value');
    return valueOf(plain[0]);
  }

  flowMapping() {
    const object = {};
    for (this.blank(); !this.match(/\}/y); this.blank()) {
      const key = String(this.flowScalar(/[^,[\]{}:\n]+?(?=[ ]*(?:[,}\n]|:(?:[ \n]|$)))/y));
      this.blank();
      object[key] = this.match(/:/y) ? this.flowValue() : null;
      this.blank();
      if (!this.match(/,/y) && this.text[this.at] !== '}') this.fail('expected , or }');
    }
    return object;
  }

  flowSequence() {
    const items = [];
    for (this.blank(); !this.match(/\]/y); this.blank()) {
      items.push(this.flowValue());
      this.blank();
      if (!this.match(/,/y) && this.text[this.at] !== ']') this.fail('expected , or ]');
    }
    return items;
  }

  blank() {
    this.match(/(?:\s|(?<=\s)#[^\n]*)*/y);
  }
}

// Lines become one; empty ones, and those that are indented further, keep their breaks.
function fold(lines) {
  let text = '';
  lines.forEach((line, i) => {
    const previous = lines[i - 1];
    const joins = i > 0 && line !== '' && previous !== '' && !line.startsWith(' ') && !previous.startsWith(' ');
    if (i > 0 && !(line !== '' && previous === '')) text += joins ? ' ' : '\n';
    text += line;
  });
  return text;
}

function unquote(quoted) {
  const inner = quoted.slice(1, -1).replace(/[ ]*\n\s*/g, ' ');
  if (quoted[0] === "'") return inner.replaceAll("''", "'");
  return inner.replace(/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([^]))/g, (_, four, two, one) => {
    if (four ?? two) return String.fromCharCode(parseInt(four ?? two, 16));
    if (!(one in ESCAPES)) throw new Error(`unknown escape \\${one}`);
    return ESCAPES[one];
  });
}
