/**
 * Draws how the cost of a call grows with the calls held beside it, from the raw data of bench/scale.mjs.
 *
 *   node bench/plot.mjs [RAW.json] [PICTURE.svg]      the newest run and bench/growth.svg unless said otherwise
 *
 * Points are medians of the valid rounds, bars reach from the least to the most.  Drawn by echarts, without a browser.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as echarts from 'echarts';
import { median } from './figures.mjs';

const folder = fileURLToPath(new URL('results/', import.meta.url));
const newest = () => {
  const name = readdirSync(folder)
    .filter((file) => file.endsWith('-scale.json'))
    .sort()
    .at(-1);
  if (name) return `${folder}${name}`;
  console.error('no raw data: node bench/scale.mjs');
  process.exit(1);
};
const [from = newest(), into = fileURLToPath(new URL('growth.svg', import.meta.url))] = process.argv.slice(2);
const WIDTH = 760;
const HEIGHT = 400;
const COLOURS = ['#1f6feb', '#bf5700', '#1a7f37', '#8250df'];
/** A logarithmic axis has no zero: what is measured with nothing held stands a decade before the first. */
const NONE_AT = 100;

const { records, machine } = JSON.parse(readFileSync(from, 'utf8'));
const growth = records.filter((r) => r.row === 'growth' && r.faults.length === 0);
if (growth.length === 0) {
  console.error(`${from} has no valid record of growth`);
  process.exit(1);
}
const hashSizes = [...new Set(growth.map((r) => r.hashSize))];
const points = (hashSize) => {
  const sizes = [...new Set(growth.filter((r) => r.hashSize === hashSize).map((r) => r.size))].sort(
    (a, b) => a - b,
  );
  return sizes.map((size) => {
    const list = growth
      .filter((r) => r.hashSize === hashSize && r.size === size)
      .map((r) => r.report.server.us_per_call);
    return {
      x: size === 0 ? NONE_AT : size,
      y: median(list),
      low: Math.min(...list),
      high: Math.max(...list),
    };
  });
};
const range = (params, api) => {
  const style = { stroke: api.visual('color'), lineWidth: 1.5 };
  const [x, low] = api.coord([api.value(0), api.value(1)]);
  const [, high] = api.coord([api.value(0), api.value(2)]);
  const line = (x1, y1, x2, y2) => ({ type: 'line', shape: { x1, y1, x2, y2 }, style });
  const shift = 4 * (params.seriesIndex % 2 ? 1 : -1);
  return {
    type: 'group',
    children: [
      line(x + shift, low, x + shift, high),
      line(x + shift - 3, low, x + shift + 3, low),
      line(x + shift - 3, high, x + shift + 3, high),
    ],
  };
};
const named = (value) =>
  value === NONE_AT ? 'none' : value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : '';

const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
chart.setOption({
  animation: false,
  backgroundColor: '#ffffff',
  color: COLOURS,
  title: {
    text: 'CPU per call beside calls that are held',
    subtext: `one worker, saturated; ${machine.processor}, ${machine.date.slice(0, 10)}`,
    left: 'center',
  },
  legend: { bottom: 4, data: hashSizes.map((n) => `hash_size ${n}`) },
  grid: { left: 64, right: 24, top: 70, bottom: 78 },
  xAxis: {
    type: 'log',
    min: NONE_AT,
    name: 'calls held',
    nameLocation: 'middle',
    nameGap: 28,
    axisLabel: { formatter: named },
  },
  yAxis: { type: 'value', min: 0, name: 'µs of CPU per call', nameLocation: 'middle', nameGap: 44 },
  series: hashSizes.flatMap((hashSize, n) => [
    {
      type: 'line',
      name: `hash_size ${hashSize}`,
      color: COLOURS[n],
      symbolSize: 7,
      data: points(hashSize).map(({ x, y }) => [x, y]),
    },
    {
      type: 'custom',
      color: COLOURS[n],
      renderItem: range,
      encode: { x: 0, y: [1, 2] },
      data: points(hashSize).map(({ x, low, high }) => [x, low, high]),
    },
  ]),
});
writeFileSync(into, `${chart.renderToSVGString()}\n`);
chart.dispose();
console.log(`drew ${into} from ${from}`);
