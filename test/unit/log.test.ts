import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { ManualClock } from '../../dist/clock.js';
import { type LogOptions, makeLog, OnceAMinute } from '../../dist/log.js';

function gathered(options: Omit<LogOptions, 'write'>) {
  const lines: string[] = [];
  return { lines, log: makeLog({ ...options, write: (line) => lines.push(line) }) };
}

describe('the log', () => {
  test('is one line per event: time, level, event, key=value, Call-ID last', () => {
    const { lines, log } = gathered({ level: 'info', format: 'text' });
    log.warn('route_threw', { call_id: 'a@b', owner: 1, route: 'request' });
    assert.equal(lines.length, 1);
    assert.match(
      lines[0] ?? '',
      /^\d{4}-\d\d-\d\dT[\d:.]+Z warn route_threw owner=1 route=request call_id=a@b\n$/,
    );
  });

  test('what comes from the network cannot make a second line or a second pair', () => {
    const { lines, log } = gathered({ level: 'info', format: 'text' });
    log.info('x', { from: 'a\r\nb level=error', quote: 'say "hi"', empty: '', call_id: 'c=d \u0085' });
    assert.ok(
      lines[0]?.endsWith(
        ' x from="a\\r\\nb level=error" quote="say \\"hi\\"" empty="" call_id="c=d \\u0085"\n',
      ),
      lines[0],
    );
    assert.equal(lines[0]?.split('\n').length, 2);
  });

  test('an event cannot make a second line or steer a terminal either', () => {
    const { lines, log } = gathered({ level: 'info', format: 'text' });
    log.error('route threw: a\r\n\u001b[2J\u0000\u007f\u009b\u2028\tend');
    assert.ok(
      lines[0]?.endsWith(' error route threw: a\\r\\n\\u001b[2J\\u0000\\u007f\\u009b\\u2028\\tend\n'),
      lines[0],
    );
  });

  test('prints JSON when that is asked for', () => {
    const { lines, log } = gathered({ level: 'info', format: 'json' });
    log.child({ owner: 3 }).error('worker_died', { deaths: 2, call_id: 'a' });
    const { time, ...rest } = JSON.parse(lines[0] ?? '');
    assert.ok(!Number.isNaN(Date.parse(time)));
    assert.deepEqual(rest, { level: 'error', event: 'worker_died', owner: 3, deaths: 2, call_id: 'a' });
  });

  test('is silent below its level', () => {
    const { lines, log } = gathered({ level: 'warn', format: 'text' });
    log.info('x');
    log.debug('x');
    log.warn('y');
    assert.equal(lines.length, 1);
  });
});

describe('once a minute', () => {
  test('lets one of each event through, and counts the others', () => {
    const { lines, log } = gathered({ level: 'info', format: 'text' });
    const clock = new ManualClock();
    const rare = new OnceAMinute(log, clock);
    for (let time = 0; time < 10; time++) rare.warn('no_memory');
    rare.error('malformed');
    assert.equal(lines.length, 2);
    clock.advance(59_999);
    rare.warn('no_memory');
    assert.equal(lines.length, 2);
    clock.advance(1);
    rare.warn('no_memory', { pool: 'dialogs' });
    rare.error('malformed');
    assert.match(lines[2] ?? '', /no_memory pool=dialogs held_back=10\n$/);
    assert.match(lines[3] ?? '', /error malformed\n$/);
  });

  test('keeps a bounded table, whatever events come', () => {
    const { lines, log } = gathered({ level: 'info', format: 'text' });
    const rare = new OnceAMinute(log, new ManualClock());
    for (let event = 0; event < 1_000; event++) rare.warn(`event_${event}`);
    assert.equal(lines.length, 65);
  });
});
