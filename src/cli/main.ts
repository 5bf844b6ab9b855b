#!/usr/bin/env node
/**
 * The program `holdfast`: start, and a small client of the management interface.
 *
 * What an operator can mend is one clear line on standard error and exit code 1, never a stack trace.
 */
import './signals.js';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { type Given, type Loaded, loadConfig } from '../config/load.js';
import { OPTION_NAMES, OPTIONS, variableOf } from '../config/options.js';
import { demandedToken, readToken } from '../config/token.js';
import { isEngineError } from '../errors.js';
import { callRpc, type Door, everyDialog } from './client.js';
import { checkReport, dialogTable, parameterOf } from './print.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const CONFIG = [
  '--config <FILE>',
  'configuration file, JSON or JavaScript or TypeScript [HOLDFAST_CONFIG]',
] as const;

const TOKEN_FILE = [
  '--token-file <FILE>',
  'file with the token it demands (default: rpc:token_file)',
] as const;

type Flags = { readonly [name: string]: string | string[] | undefined };

try {
  await program().parseAsync();
} catch (error) {
  process.exitCode = complain(error);
}

function program(): Command {
  const holdfast = new Command('holdfast')
    .description('A SIP proxy that tracks calls and never loses one.')
    .version(version, '--version', 'print the version')
    .helpOption('--help', 'print this')
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  const start = startCommand();
  holdfast.addHelpText('after', () => `\nWithout a command it starts.\n\n${start.helpInformation()}`);
  holdfast.addCommand(start, { isDefault: true });
  holdfast.addCommand(listCommand());
  holdfast.addCommand(endCommand());
  holdfast.addCommand(rpcCommand());
  return holdfast;
}

function startCommand(): Command {
  const start = bare('start', 'Starts the proxy and stays in the foreground.')
    .version(version, '--version', 'print the version')
    .option(...CONFIG);
  for (const name of OPTION_NAMES) {
    const option = OPTIONS[name];
    const doc = `${option.doc} (default: ${option.byDefault}) [${variableOf(name)}]`;
    if (option.alone === undefined) start.addOption(collecting(`--${name} <${option.form}>`, doc));
    else start.addOption(collecting(`--${name} [${option.form}]`, doc).preset(option.alone));
  }
  return start
    .addOption(collecting('--set <GROUP:NAME=VALUE>', 'sets a parameter; may be given again [HOLDFAST_SET]'))
    .option('--check', 'check the configuration, say where each value comes from, and end')
    .action(async ({ check, ...given }: Flags & { check?: boolean }) => {
      const loaded = await loadConfig(writtenIn(given, true));
      demandedToken(loaded.config);
      if (check === true) process.stdout.write(checkReport(loaded));
      else await run(loaded);
    });
}

function listCommand(): Command {
  return bare('list', 'Lists the dialogs of a running proxy.')
    .addOption(collecting('--rpc <ADDR:PORT>', `its management address [${variableOf('rpc')}]`))
    .option(...CONFIG)
    .addOption(collecting(...TOKEN_FILE))
    .option('--json', 'one JSON object per line, as when the output is not a terminal')
    .action(async ({ json, ...given }: Flags & { json?: boolean }) => {
      const door = await doorOf(given);
      const asTable = json !== true && process.stdout.isTTY === true;
      const lines = asTable ? dialogTable(everyDialog(door)) : asJson(everyDialog(door));
      for await (const line of lines) process.stdout.write(`${line}\n`);
    });
}

function endCommand(): Command {
  return bare('end', 'Ends the dialogs of a Call-ID: BYE to both sides, CANCEL while it rings.')
    .argument('<call-id>')
    .argument('[from-tag]', 'only the dialog with this tag')
    .addOption(collecting('--rpc <ADDR:PORT>', `its management address [${variableOf('rpc')}]`))
    .option(...CONFIG)
    .addOption(collecting(...TOKEN_FILE))
    .action(async (callId: string, tag: string | undefined, given: Flags) => {
      const door = await doorOf(given);
      await callRpc(door, 'dlg.terminate_dlg', tag === undefined ? [callId] : [callId, tag]);
    });
}

function rpcCommand(): Command {
  return bare('rpc', 'Calls a management command of a running proxy and prints its result as JSON.')
    .argument('<method>', 'such as dlg.list; system.listMethods names all')
    .argument('[params...]', 'numbers are sent as numbers; s:17 is sent as text')
    .addOption(collecting('--rpc <ADDR:PORT>', `its management address [${variableOf('rpc')}]`))
    .option(...CONFIG)
    .addOption(collecting(...TOKEN_FILE))
    .action(async (method: string, params: string[], given: Flags) => {
      const door = await doorOf(given);
      const result = await callRpc(door, method, params.map(parameterOf));
      process.stdout.write(`${JSON.stringify(result, null, process.stdout.isTTY ? 2 : 0)}\n`);
    });
}

/** The running proxy that a client means. */
async function doorOf({ tokenFile, ...given }: Flags): Promise<Door> {
  const { config } = await loadConfig(writtenIn(given, false));
  const named = [tokenFile ?? []].flat().at(-1);
  const file = named === undefined ? config.params.rpc.token_file : resolve(named);
  return { rpc: config.rpc, token: file === null ? null : readToken(file) };
}

function bare(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .helpOption('--help', 'print this')
    .exitOverride()
    .configureOutput({ outputError: () => {} });
}

/** An option whose values are gathered, so that one given twice is seen. */
function collecting(flags: string, doc: string): Option {
  return new Option(flags, doc).argParser((value: string, before: string[] | undefined) => [
    ...(before ?? []),
    value,
  ]);
}

/**
 * commander's camelCase back to the names of the option table.
 *
 * Clients are run wherever their user stands: they never take a file for their own that happens to lie there.
 */
function writtenIn(flags: Flags, looksInFolder: boolean): Given {
  const named = Object.entries(flags).map(([name, value]) => [
    name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    value,
  ]);
  return { flags: Object.fromEntries(named), env: process.env, folder: process.cwd(), looksInFolder };
}

/** The server is loaded here only: the client starts without it. */
async function run(loaded: Loaded): Promise<void> {
  const { processSurroundings, serve } = await import('../server/main.js');
  const { openRuntime } = await import('../server/runtime.js');
  process.exitCode = await serve(loaded, openRuntime, processSurroundings(loaded, version));
}

async function* asJson(items: AsyncIterable<object>): AsyncGenerator<string> {
  for await (const item of items) yield JSON.stringify(item);
}

/** Says what went wrong; returns the exit code. */
function complain(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    process.stderr.write(`holdfast: ${error.message.replace(/^error: /, '').replaceAll('\n', ' ')}\n`);
    return 1;
  }
  if (!isEngineError(error)) throw error;
  if (error.code === 'ERR_CONFIG') {
    for (const line of error.detail.split('\n')) process.stderr.write(`holdfast: ${line}\n`);
  } else process.stderr.write(`holdfast: ${error.message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
  return 1;
}
