/**
 * Derives src/sip/words.ts from native/sip-parser/sip_parser.h, so that no offset is typed twice.
 *
 *   node scripts/generate-words.mjs          writes src/sip/words.ts
 *   node scripts/generate-words.mjs --check  exit code 1 if the file is not what the header gives
 *
 * Understands what that header uses: enums whose values are sums and products of numbers and earlier names,
 * and `#define SIP_NONE`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const HEADER = new URL('../native/sip-parser/sip_parser.h', import.meta.url);
const TARGET = new URL('../src/sip/words.ts', import.meta.url);

/** What is said of each enum, and the prefix that its names get in TypeScript. */
const ENUMS = {
  '': { from: 'SIP_', to: '', says: 'Sizes.' },
  sip_word: { from: 'SIP_W_', to: 'W_', says: 'Fixed words.' },
  sip_header_word: { from: 'SIP_H_', to: 'H_', says: 'Words of one row of the header table.' },
  sip_item_word: { from: 'SIP_I_', to: 'I_', says: 'Words of one row of the item table.' },
  sip_method: { from: 'SIP_', to: 'M_', says: 'Methods.', names: 'METHOD_NAMES' },
  sip_header: { from: 'SIP_HDR_', to: 'HDR_', says: 'Header fields known by name.' },
  sip_fault: { from: 'SIP_', to: 'F_', says: 'Why a message was refused.', names: 'FAULT_NAMES' },
  sip_uri_word: { from: 'SIP_U_', to: 'U_', says: 'Words of one URI.' },
};

/** The text of words.ts for the text of the C header. */
export function wordsFromHeader(header) {
  const source = header.replace(/\/\*[\s\S]*?\*\//g, '');
  const values = new Map();
  const parts = [
    '/**\n * What the parser writes, word by word: generated from native/sip-parser/sip_parser.h, which says what each\n' +
      ' * means.  Change the header, then run `node scripts/generate-words.mjs`.\n */',
  ];
  const none = /#define\s+SIP_NONE\s+(0x[0-9a-f]+)u/.exec(source);
  if (!none) throw new Error('SIP_NONE is not defined in the header');
  parts.push(`/** A number that is not there. */\nexport const NONE = ${none[1]};`);
  for (const [, name = '', body] of source.matchAll(/enum\s*(\w+)?\s*\{([^}]*)\}/g)) {
    parts.push(enumText(name, body, values));
  }
  return `${parts.join('\n\n')}\n`;
}

function enumText(name, body, values) {
  const rule = ENUMS[name];
  if (!rule) throw new Error(`enum ${name} has no rule in generate-words.mjs`);
  const members = [];
  let next = 0;
  for (const entry of body.split(',').map((text) => text.trim())) {
    if (entry === '') continue;
    const [member, expression] = entry.split('=').map((text) => text.trim());
    if (!member.startsWith(rule.from)) throw new Error(`${member} does not begin with ${rule.from}`);
    const value = expression === undefined ? next : evaluate(expression, values);
    values.set(member, value);
    members.push({ name: member.slice(rule.from.length), value });
    next = value + 1;
  }
  const lines = members.map((member) => `export const ${rule.to}${member.name} = ${member.value};`);
  return `/* ${rule.says} */\n${lines.join('\n')}${rule.names ? `\n\n${namesText(rule.names, members)}` : ''}`;
}

/** The names by value; a last `COUNT` is a size, not a name. */
function namesText(constant, members) {
  const names = members.filter((member) => !member.name.endsWith('COUNT'));
  names.forEach((member, index) => {
    if (member.value !== index) throw new Error(`${member.name}: names need values without gaps`);
  });
  const rows = names.map((member) => `  '${member.name}',`);
  return `export const ${constant}: readonly string[] = [\n${rows.join('\n')}\n];`;
}

function evaluate(expression, values) {
  const sum = expression
    .split('+')
    .map((term) => term.split('*').map((factor) => number(factor.trim(), values)));
  return sum.reduce((total, factors) => total + factors.reduce((product, factor) => product * factor, 1), 0);
}

function number(text, values) {
  const value = /^\d+$/.test(text) ? Number(text) : values.get(text);
  if (value === undefined) throw new Error(`cannot evaluate ${text} in the header`);
  return value;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const text = wordsFromHeader(readFileSync(HEADER, 'utf8'));
  if (!process.argv.includes('--check')) {
    writeFileSync(TARGET, text);
  } else if (readFileSync(TARGET, 'utf8') !== text) {
    console.error('src/sip/words.ts is not what sip_parser.h gives: run node scripts/generate-words.mjs');
    process.exitCode = 1;
  }
}
