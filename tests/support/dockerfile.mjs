// Reads a Dockerfile: the instructions of the subset that Parley's has, in order.

// [{name, value, line}], where a continued line is one, and comments are gone.
export function parseDockerfile(text) {
  const instructions = [];
  let open = null;
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*#/.test(line) || (!open && !line.trim())) continue;
    open ??= { line: index + 1, text: '' };
    open.text += line.replace(/\\$/, '');
    if (line.endsWith('\\')) continue;
    const [, name, value] = /^\s*([A-Za-z]+)\s+(.*?)\s*$/s.exec(open.text);
    instructions.push({ name: name.toUpperCase(), value: value.replace(/\s+/g, ' '), line: open.line });
    open = null;
  }
  return instructions;
}

// [{name, base, instructions}]: what begins with each FROM.
export function stagesOf(instructions) {
  const stages = [];
  for (const instruction of instructions) {
    if (instruction.name === 'FROM') {
      const [, base, name] = /^(\S+)(?: AS (\S+))?$/i.exec(instruction.value);
      stages.push({ base, name, instructions: [] });
    } else {
      stages.at(-1).instructions.push(instruction);
    }
  }
  return stages;
}

// ["a", "b"] as it is written, or what a shell makes of it.
export function commandOf(value) {
  return value.startsWith('[') ? JSON.parse(value) : ['/bin/sh', '-c', value];
}

// The command and the options of HEALTHCHECK.
export function healthcheckOf(value) {
  const [, options, command] = /^((?:--\S+ )*)CMD (.*)$/.exec(value);
  return { options: Object.fromEntries(options.trim().split(' ').map((option) => option.slice(2).split('='))), command: commandOf(command) };
}

// NAME=value pairs, where a value may be in double quotes.
export function pairsOf(value) {
  return Object.fromEntries([...value.matchAll(/([A-Za-z_]\w*)=(?:"([^"]*)"|(\S*))/g)].map(([, name, quoted, plain]) => [name, quoted ?? plain]));
}

// The Debian packages that a RUN installs.
export function installedBy(value) {
  const [, words] = /apt-get install ([^&]*)/.exec(value) ?? [, ''];
  return words.split(' ').filter((word) => word && !word.startsWith('-'));
}
